//! Connections through an HTTP proxy.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::{Proxy, RequestError};
use engineio_server::EngineConfig as ServerConfig;

/// The heads of the requests that a proxy received.
pub(super) type Heads = Arc<Mutex<Vec<String>>>;

/// A connector that reaches only a proxy, which accepts CONNECT and full URLs.
fn proxied(
    network: &Network,
    options: EngineOptions,
    answer: &'static str,
) -> (EngineOptions, Heads) {
    let heads = Heads::default();
    let (network, log) = (network.clone(), heads.clone());
    let options = options.connector(move |host: String, port: u16| {
        assert_eq!((host.as_str(), port), ("proxy", 3128));
        let (client, proxy) = tokio::io::duplex(16 * 1024);
        tokio::spawn(relay(proxy, network.accept(), log.clone(), answer));
        async move { Ok::<_, std::io::Error>(client) }
    });
    (options, heads)
}

pub(super) async fn relay(
    mut client: DuplexStream,
    mut server: DuplexStream,
    log: Heads,
    answer: &'static str,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    if head.starts_with("CONNECT") {
        client.write_all(answer.as_bytes()).await.unwrap();
    } else {
        // Only the first line differs, and servers accept the full URL as well.
        server.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

fn proxy() -> Proxy {
    Proxy::new("http://proxy:3128").unwrap().credentials("ann", "secret")
}

pub(super) const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn polling_is_forwarded_and_websockets_are_tunnelled() {
    let network = Network::echo(ServerConfig::default());
    let (options, heads) = proxied(&network, options().proxy(proxy()), ESTABLISHED);
    let config = engine_config("http://server:3000", &options).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    upgraded(&mut engine).await;
    engine.send(text("x")).unwrap();
    assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
    let heads = heads.lock().unwrap();
    let first = |start: &str| heads.iter().find(|head| head.starts_with(start)).unwrap();
    let forwarded = first("GET http://server:3000/engine.io/?EIO=4&transport=polling");
    let tunnel = first("CONNECT server:3000 HTTP/1.1\r\n");
    for head in [forwarded, tunnel] {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("proxy-authorization: basic yw5uonnly3jlda==\r\n"), "{head}");
        assert!(head.contains("host: server:3000\r\n"), "{head}");
    }
    // The server behind a tunnel does not receive the headers for the proxy.
    let websocket =
        network.seen().into_iter().find(|seen| seen.transport() == "websocket").unwrap();
    assert!(!websocket.headers.contains_key("proxy-authorization"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_proxy_has_its_own_error() {
    let network = Network::echo(ServerConfig::default());
    for (answer, status) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some(407)),
        ("SSH-2.0-OpenSSH\r\n\r\n", None),
        ("", None),
    ] {
        let options = only(Transport::WebSocket).proxy(proxy());
        let (options, _) = proxied(&network, options, answer);
        let config = engine_config("ws://server", &options).unwrap();
        let opening = tokio::time::timeout(Duration::from_secs(30), Engine::open(&config)).await;
        match (opening, status) {
            (Ok(Err(EngineError::WebSocket(RequestError::Proxy(got)))), Some(status)) => {
                assert_eq!(got, status);
            }
            (Ok(Err(EngineError::WebSocket(RequestError::ProxyResponse))), None) => {}
            // A silent proxy ends in the caller's timeout.
            (Err(_), None) if answer.is_empty() => {}
            (result, _) => panic!("{answer}: {:?}", result.map(|result| result.err())),
        }
    }
}
