//! Limit on unauthenticated sessions per address. Node has no such limit.

use crate::support;

use engineio_server::{Connection, EngineConfig, IpNet, PeerAddr, ProxyHeader};
use http::Request;
use http_body_util::Empty;
use support::{Answer, Server, until, within};
use tokio::sync::mpsc::UnboundedReceiver;

const TOO_MANY: &str = r#"{"code":4,"message":"Too many unauthenticated sessions"}"#;

async fn server() -> (Server, UnboundedReceiver<Connection>) {
    let proxy: IpNet = "10.0.0.0/8".parse().unwrap();
    let config = EngineConfig::default()
        .max_unauthenticated_per_address(2)
        .trusted_proxies([proxy], ProxyHeader::XForwardedFor);
    Server::manual(config).await
}

/// Opens a polling session from the address `peer`, with `forwarded` in its `X-Forwarded-For`
/// header.
async fn open(server: &Server, peer: &str, forwarded: &str) -> Answer {
    let request = Request::get("/engine.io/?EIO=4&transport=polling")
        .header("x-forwarded-for", forwarded)
        .extension(PeerAddr(format!("{peer}:1").parse().unwrap()));
    within(server.send(request.body(Empty::<bytes::Bytes>::new()).unwrap())).await
}

#[tokio::test]
async fn an_address_has_a_limited_number_of_unauthenticated_sessions() {
    let (server, mut connections) = server().await;
    for _ in 0..2 {
        assert_eq!(open(&server, "192.0.2.1", "").await.status, 200);
    }
    let (first, second) = (connections.recv().await.unwrap(), connections.recv().await.unwrap());
    open(&server, "192.0.2.1", "").await.is(429, TOO_MANY);
    // The header of a peer that is not trusted is ignored.
    open(&server, "192.0.2.1", "192.0.2.9").await.is(429, TOO_MANY);
    assert_eq!(open(&server, "192.0.2.2", "").await.status, 200);

    // An authenticated session no longer counts, however often it is authenticated.
    first.handle().authenticated();
    first.handle().authenticated();
    assert_eq!(open(&server, "192.0.2.1", "").await.status, 200);
    open(&server, "192.0.2.1", "").await.is(429, TOO_MANY);

    // A closed session no longer counts, even if a handle remains.
    let handle = second.handle().clone();
    drop(second);
    assert_eq!(open(&server, "192.0.2.1", "").await.status, 200);
    open(&server, "192.0.2.1", "").await.is(429, TOO_MANY);
    assert!(handle.is_closed());
}

#[tokio::test]
async fn behind_a_proxy_the_address_of_the_client_counts() {
    let (server, mut connections) = server().await;
    let mut held = Vec::new();
    for client in ["203.0.113.1", "203.0.113.2"] {
        for _ in 0..2 {
            assert_eq!(open(&server, "10.0.0.1", client).await.status, 200);
            let connection = connections.recv().await.unwrap();
            let handshake = connection.handle().handshake();
            assert_eq!(handshake.client_ip().unwrap().to_string(), client);
            assert_eq!(handshake.remote_addr().unwrap().to_string(), "10.0.0.1:1");
            held.push(connection);
        }
        open(&server, "10.0.0.1", client).await.is(429, TOO_MANY);
        // Entries before the client's address come from the client itself.
        open(&server, "10.0.0.1", &format!("1.1.1.1, {client}")).await.is(429, TOO_MANY);
    }
}

#[tokio::test]
async fn the_limit_applies_to_websockets() {
    let (server, mut connections) = server().await;
    let query = "EIO=4&transport=websocket";
    let _websockets = [server.connect(query).await.unwrap(), server.connect(query).await.unwrap()];
    let held = [connections.recv().await.unwrap(), connections.recv().await.unwrap()];
    assert!(server.connect(query).await.is_err());
    drop(held);
    until(|| server.engine.clients_count() == 0).await;
    assert!(server.connect(query).await.is_ok());
}

#[tokio::test]
async fn a_refused_handshake_does_not_count() {
    let (server, _connections) = server().await;
    for _ in 0..5 {
        let request = Request::get("/engine.io/?EIO=9&transport=polling")
            .extension(PeerAddr(([192, 0, 2, 1], 1).into()));
        let answer = within(server.send(request.body(Empty::<bytes::Bytes>::new()).unwrap())).await;
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test]
async fn sessions_per_address_are_unlimited_by_default() {
    // The receiver keeps every connection open.
    let (server, _connections) = Server::manual(EngineConfig::default()).await;
    for _ in 0..100 {
        assert_eq!(open(&server, "192.0.2.1", "").await.status, 200);
    }
}
