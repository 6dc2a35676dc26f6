//! A Socket.IO v2 server causes its own error over each transport, and no further attempt.

use std::time::Duration;

use socketio_client::{ClientConfig, ConnectError, Manager, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{Network, URL, connection_events, manager_events, within};

const OPEN: &str =
    r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":60000}"#;

#[tokio::test(start_paused = true)]
async fn over_a_websocket() {
    let network = Network::raw(|_| vec!["0".into()]);
    let socket = network.socket("/");
    let error = within(socket.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unsupported));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!socket.is_active() && network.dialed() == 1);
}

#[tokio::test(start_paused = true)]
async fn over_polling() {
    let config = ClientConfig::default().auto_connect(false).engine(|engine| {
        engine.transports([Transport::Polling]).connector(|_: String, _: u16| {
            let (client, server) = tokio::io::duplex(1024);
            tokio::spawn(answer(server));
            std::future::ready(Ok(client))
        })
    });
    let manager = Manager::with_config(URL, config).unwrap();
    let mut log = manager_events(&manager);
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    let error = within(socket.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unsupported), "{error:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!socket.is_active());
    within(manager.closed()).await;
    assert_eq!(log.rest(), [format!("error: {error}")]);
    assert_eq!(life.rest(), [format!("connect_error: {error}")]);
}

/// The response of Node's v2 server to the first request.
async fn answer(mut stream: DuplexStream) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let body = format!("{}:{OPEN}2:40", OPEN.len());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.read(&mut request).await;
}
