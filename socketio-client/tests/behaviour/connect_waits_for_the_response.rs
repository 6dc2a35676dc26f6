//! `connect` resolves with the response to CONNECT, and a refusal has its reason.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_client::{ClientError, ConnectError, SocketConfig, connect_with};
use socketio_server::{Auth, HandlerError, Server, Socket};

use crate::support::{Network, URL, connection_events, log, settle, within};

#[tokio::test(start_paused = true)]
async fn a_granted_namespace_has_an_id() {
    let io = Server::new();
    io.of("/chat").use_(|| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    });
    let network = Network::new(&io);
    let before = tokio::time::Instant::now();
    let url = format!("{URL}/chat?room=7");
    let socket = within(connect_with(&url, network.config())).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(5));
    let there = io.of("/chat").socket(&socket.id().unwrap()).unwrap();
    assert_eq!(there.handshake().query()[0], ("room".into(), "7".into()));
    assert_eq!(socket.nsp(), "/chat");
    assert!(socket.is_connected() && socket.is_active() && !socket.is_recovered());
}

#[tokio::test(start_paused = true)]
async fn auth_arrives_at_the_server() {
    let io = Server::new();
    let (sender, mut seen) = log();
    io.on_connection(move |auth: Option<Auth<Value>>| {
        let _ = sender.send(auth.map(|Auth(auth)| auth));
        async {}
    });
    let network = Network::new(&io);
    let manager = network.manager();
    within(manager.socket("/").connect()).await.unwrap();
    assert_eq!(seen.next().await, None);
    let config = network.config().socket(|socket| socket.auth(&json!({ "token": "abc" })));
    let _socket = within(connect_with(URL, config)).await.unwrap();
    assert_eq!(seen.next().await, Some(json!({ "token": "abc" })));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_a_message_and_data() {
    let io = Server::new();
    io.of("/admin").use_(|_: Socket| async {
        Err::<(), _>(HandlerError::public("not authorized").with_data(&json!({ "code": 401 })))
    });
    let network = Network::new(&io);
    let socket = network.socket("/admin");
    let mut life = connection_events(&socket);
    let error = within(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "not authorized");
    assert_eq!(error.data::<Value>(), Some(json!({ "code": 401 })));
    assert_eq!(life.next().await, "connect_error: not authorized");
    assert!(!socket.is_active());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(network.dialed(), 1);

    let error = within(network.socket("/nowhere").connect()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Refused { message, .. } if message == "Invalid namespace")
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_reached_is_an_error() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let error = within(connect_with(URL, network.config())).await.unwrap_err();
    assert_eq!(error.to_string(), "websocket error");
    let error = within(connect_with(URL, network.polling())).await.unwrap_err();
    assert_eq!(error.to_string(), "xhr poll error");
    settle().await;
    assert_eq!(network.dialed(), 2, "nothing is tried again without a handle");
    let error = connect_with("/chat", network.config()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Client(ClientError::Url(_))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_a_timeout() {
    let io = Server::new();
    let network = Network::new(&io);
    network.freeze(true);
    let before = tokio::time::Instant::now();
    let error = within(connect_with(URL, network.config())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout));
    assert_eq!(before.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_connect_without_a_response_is_sent_again() {
    let io = Server::new();
    let (sender, mut seen) = log();
    io.use_(move |_: Socket| {
        let _ = sender.send(());
        std::future::pending::<()>()
    });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    for _ in 0..2 {
        seen.next().await;
        assert_eq!(life.next().await, "connect_error: timeout");
    }
    assert!(socket.is_active() && network.dialed() == 1);
}

#[tokio::test(start_paused = true)]
async fn auth_that_cannot_be_serialized_is_an_error() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.manager().socket_with("/", SocketConfig::default().auth("no object"));
    let error = within(socket.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Auth(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn polling_and_the_upgrade_work_alike() {
    let io = Server::new();
    io.on("echo", |args: socketio_server::Args| async move { args });
    let network = Network::new(&io);
    let socket = within(connect_with(URL, network.polling())).await.unwrap();
    assert_eq!(within(socket.emit_with_ack::<u32>("echo", &1)).await.unwrap(), 1);
    settle().await;
    assert_eq!(socket.manager().transport().unwrap().as_str(), "websocket");
    assert_eq!(within(socket.emit_with_ack::<u32>("echo", &2)).await.unwrap(), 2);
}
