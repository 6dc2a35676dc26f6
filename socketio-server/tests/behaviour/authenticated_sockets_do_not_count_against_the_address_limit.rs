//! A client counts against `max_unauthenticated_per_address` until a namespace has accepted it.

use crate::support;

use socketio_server::{Auth, HandlerError, ServerConfig};
use support::{Running, server_with, within};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

/// Returns whether the address has reached its limit.
async fn is_full(server: &Running) -> bool {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.address);
    match within(tokio_tungstenite::client_async(url, stream)).await {
        Err(Error::Http(response)) => response.status() == 429,
        other => other.map(|_| false).unwrap(),
    }
}

#[tokio::test]
async fn authenticated_sockets_do_not_count_against_the_address_limit() {
    let config = ServerConfig::default().engine(|engine| engine.max_unauthenticated_per_address(1));
    let server = server_with(config).await;
    server.io.of("/").use_(|auth: Option<Auth<serde_json::Value>>| async move {
        auth.map(drop).ok_or(HandlerError::public("who are you?"))
    });
    let mut first = server.open().await;
    assert!(is_full(&server).await);
    first.send("40").await;
    first.expect(r#"44{"message":"who are you?"}"#).await;
    assert!(is_full(&server).await);
    first.send(r#"40{"key":1}"#).await;
    assert!(first.text().await.starts_with(r#"40{"sid":"#));
    let second = server.open().await;
    assert!(is_full(&server).await);
    drop((first, second));
}
