//! Protocol: "Handshake", on polling and WebSocket.

use crate::support;

use std::time::Duration;

use engineio_server::{EngineConfig, Transport};
use support::{Server, within};

fn expected(open: &str, upgrades: &str) -> String {
    let sid = support::sid_of(open);
    assert_eq!(sid.len(), 20);
    format!(
        r#"0{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}}"#
    )
}

fn config() -> EngineConfig {
    EngineConfig::default()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
}

async fn polling(config: EngineConfig) -> String {
    let server = Server::echo(config).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.body
}

#[tokio::test]
async fn a_polling_handshake_has_exactly_nodes_keys() {
    let open = polling(config()).await;
    assert_eq!(open, expected(&open, r#"["websocket"]"#));
}

#[tokio::test]
async fn a_websocket_handshake_has_exactly_nodes_keys() {
    let server = Server::echo(config()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let open = websocket.text().await;
    assert_eq!(open, expected(&open, "[]"));
}

#[tokio::test]
async fn upgrades_can_be_hidden_in_any_order_of_the_setters() {
    let both = [Transport::Polling, Transport::WebSocket];
    for config in [
        config().allow_upgrades(false).transports(&both),
        config().transports(&both).allow_upgrades(false),
        config().transports(&[Transport::Polling]),
    ] {
        let open = polling(config).await;
        assert_eq!(open, expected(&open, "[]"));
    }
}
