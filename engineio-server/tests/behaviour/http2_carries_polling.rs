//! HTTP/2 at the listener, over TLS and without it, and inside other servers.

#![cfg(feature = "http2")]

use crate::http2;
use crate::support;
#[cfg(feature = "tls")]
use crate::tls;

use axum::Router;
use engineio_server::{CloseReason, EngineConfig};
use http::{Method, header};
use http2::{Client, answer, to};
use support::{Server, sid_of, within};
use tokio::net::{TcpListener, TcpStream};

/// Exchanges messages in both directions, with requests on one connection.
async fn works(client: &Client) {
    for _ in 0..2 {
        let sid = sid_of(&client.open().await);
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let get = client.begin(to(Method::GET, &query), "").await;
        let post = client.request(Method::POST, &query, "4hello").await;
        assert_eq!(post, (200, "ok".to_owned()));
        assert_eq!(answer(get).await, (200, "4hello".to_owned()));
        let large = format!("4{}", "x".repeat(300_000));
        client.request(Method::POST, &query, &large).await;
        assert_eq!(client.request(Method::GET, &query, "").await, (200, large));
    }
    let (status, body) = client.request(Method::GET, "EIO=4&transport=polling&sid=x", "").await;
    assert_eq!((status, &*body), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
}

#[tokio::test]
async fn polling_works_without_tls() {
    let server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    works(&client).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn polling_works_over_tls() {
    let server = Server::echo(EngineConfig::default()).await;
    let secure = tls::Secure::listen(&server.engine).await;
    let stream = secure.connect(&["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    works(&Client::over(stream).await).await;
}

#[tokio::test]
async fn polling_works_inside_axum() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let app = Router::new().layer(server.engine.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    works(&client).await;
}

#[tokio::test]
async fn a_request_that_is_reset_counts_as_aborted() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let sid = sid_of(&client.open().await);
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let get = client.begin(to(Method::GET, &query), "").await;
    // When the server has answered another request, it has received this one.
    client.open().await;
    drop(get);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn the_handshake_looks_the_same_as_with_http_1() {
    let server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let mut request = to(Method::GET, "EIO=4&transport=polling&token=a");
    for crumb in ["a=1", "b=2"] {
        request.headers_mut().append(header::COOKIE, crumb.parse().unwrap());
    }
    let (_, open) = answer(client.begin(request, "").await).await;
    let handle = server.engine.client(&sid_of(&open)).unwrap();
    let handshake = handle.handshake();
    assert_eq!(handshake.url(), "/engine.io/?EIO=4&transport=polling&token=a");
    assert_eq!(handshake.headers()[header::HOST], "localhost");
    assert_eq!(handshake.headers()[header::COOKIE], "a=1; b=2");
    assert!(handshake.remote_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn a_stopped_listener_answers_pending_requests() {
    let server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let sid = sid_of(&client.open().await);
    let get =
        client.begin(to(Method::GET, &format!("EIO=4&transport=polling&sid={sid}")), "").await;
    client.open().await;
    server.listening.stop();
    server.engine.close();
    assert_eq!(answer(get).await, (200, "1".to_owned()));
    let Client { connection, .. } = client;
    within(connection).await.unwrap().unwrap();
    within(server.listening.join()).await;
}
