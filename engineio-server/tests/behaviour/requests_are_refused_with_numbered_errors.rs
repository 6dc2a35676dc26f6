//! Protocol: the bodies of HTTP 400, as in Node: `{"code":<number>,"message":"…"}`.

use crate::support;

use engineio_server::{EngineConfig, Transport};
use support::{Server, until, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite;

const TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
const REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
const VERSION: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

#[tokio::test]
async fn http_requests_are_refused_with_numbered_errors() {
    let server = Server::echo(EngineConfig::default()).await;
    for (method, query, body) in [
        ("GET", "", TRANSPORT),
        ("GET", "EIO=4", TRANSPORT),
        ("GET", "EIO=4&transport=tape", TRANSPORT),
        ("GET", "EIO=4&transport=__proto__", TRANSPORT),
        ("GET", "EIO=4&transport=webtransport", TRANSPORT),
        ("GET", "EIO=4&transport=polling&sid=unknown", SID),
        ("GET", "EIO=4&transport=polling&sid=__proto__", SID),
        ("POST", "EIO=4&transport=polling&sid=unknown", SID),
        ("PUT", "EIO=4&transport=polling&sid=unknown", SID),
        ("POST", "EIO=4&transport=polling", METHOD),
        ("PUT", "EIO=4&transport=polling", METHOD),
        ("POST", "EIO=4&transport=websocket", METHOD),
        ("GET", "EIO=4&transport=websocket", REQUEST),
        ("GET", "transport=polling", VERSION),
        ("GET", "EIO=abc&transport=polling", VERSION),
        ("GET", "EIO=3&transport=polling", VERSION),
    ] {
        let answer = within(server.request(method, query, "")).await;
        answer.is(400, body);
        assert_eq!(answer.header("content-type"), "application/json");
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn a_transport_that_does_not_fit_the_session_is_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    within(server.request("GET", &query, "")).await.is(400, REQUEST);

    let (_websocket, sid) = server.websocket().await;
    within(server.get(&sid)).await.is(400, REQUEST);
    within(server.post(&sid, "4a")).await.is(400, REQUEST);
}

#[tokio::test]
async fn websocket_requests_are_refused_with_numbered_errors() {
    let server = Server::echo(EngineConfig::default()).await;
    for (query, body) in [
        ("EIO=4", TRANSPORT),
        ("EIO=4&transport=polling", REQUEST),
        ("EIO=4&transport=websocket&sid=unknown", SID),
        ("transport=websocket", VERSION),
        ("EIO=abc&transport=websocket", VERSION),
    ] {
        let Err(tungstenite::Error::Http(response)) = server.connect(query).await else {
            panic!("{query} was not refused")
        };
        assert_eq!(response.status(), 400);
        assert_eq!(response.body().as_deref(), Some(body.as_bytes()), "{query}");
    }
}

#[tokio::test]
async fn a_disabled_transport_is_refused() {
    let only_websocket = EngineConfig::default().transports(&[Transport::WebSocket]);
    let server = Server::echo(only_websocket).await;
    within(server.request("GET", "EIO=4&transport=polling", "")).await.is(400, TRANSPORT);

    let only_polling = EngineConfig::default().transports(&[Transport::Polling]);
    let server = Server::echo(only_polling).await;
    let sid = server.open().await;
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    assert!(server.connect(&query).await.is_err());
}

#[tokio::test]
async fn a_websocket_request_without_key_or_version_is_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    let head = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
        connection: close, upgrade\r\nupgrade: websocket\r\n";
    let key = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let version = "sec-websocket-version: 13\r\n";
    for (more, named) in [
        (String::new(), true),
        (format!("{key}sec-websocket-version: 8\r\n"), true),
        (version.to_owned(), false),
        (format!("{version}sec-websocket-key: AA==\r\n"), false),
        (format!("{version}{key}{key}"), false),
        (format!("{version}{key}sec-websocket-protocol: a b\r\n"), false),
    ] {
        let answer = server.exchange(format!("{head}{more}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with(REQUEST), "{answer}");
        // The response names the supported version if the request had another one.
        assert_eq!(answer.contains("\r\nsec-websocket-version: 13\r\n"), named, "{answer}");
    }
}

/// The client resets the connection at once, or after it has read the refusal.
#[tokio::test]
async fn a_reset_after_an_invalid_upgrade_request_ends_only_its_connection() {
    let server = Server::echo(EngineConfig::default()).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for (query, version) in [
        ("EIO=4&transport=tape", 13),
        ("EIO=4&transport=websocket&sid=unknown", 13),
        ("EIO=4&transport=websocket", 8),
    ] {
        let head = format!(
            "GET /engine.io/?{query} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: {version}\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        for reads in [false, true] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            if reads {
                let mut status_line = [0; "HTTP/1.1 400".len()];
                within(stream.read_exact(&mut status_line)).await.unwrap();
                assert_eq!(&status_line, b"HTTP/1.1 400");
            }
            stream.set_zero_linger().unwrap();
            drop(stream);
            until(|| tasks() == before).await;
        }
    }
    // The server may notice a reset before it reads the request.
    let refused = server.engine.stats().refused.total();
    assert!((3..=6).contains(&refused), "{refused}");
    assert_eq!(server.engine.clients_count(), 0);
    server.websocket().await;
}

#[tokio::test]
async fn an_http_1_1_request_without_host_is_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    for (path, version, status) in [
        ("/engine.io/?EIO=4&transport=polling", "1.1", "400"),
        ("/other", "1.1", "400"),
        ("/engine.io/?EIO=4&transport=polling", "1.0", "200"),
    ] {
        // Returns only when the connection has ended.
        let answer = server.exchange(format!("GET {path} HTTP/{version}\r\n\r\n").as_bytes()).await;
        assert!(answer.split(' ').nth(1) == Some(status), "{answer}");
    }
}

#[tokio::test]
async fn names_and_values_may_be_percent_encoded() {
    let server = Server::echo(EngineConfig::default()).await;
    let answer = within(server.request("GET", "E%49O=%34&transport=p%6Flling", "")).await;
    let sid = support::sid_of(&answer.body);
    let escaped: String = sid.bytes().map(|byte| format!("%{byte:02x}")).collect();
    within(server.post(&escaped, "4a")).await.is(200, "ok");
    within(server.get(&escaped)).await.is(200, "4a");
    let mut probe = server.probe(&escaped).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
}

#[tokio::test]
async fn other_methods_on_a_session_get_500() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let query = format!("EIO=4&transport=polling&sid={sid}");
        within(server.request(method, &query, "")).await.is(500, "");
    }
    assert!(server.engine.client(&sid).is_some(), "the session lives on");
}
