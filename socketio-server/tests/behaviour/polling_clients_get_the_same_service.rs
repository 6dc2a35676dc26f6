//! Long-polling offers everything that WebSocket does, and sockets survive the upgrade.

use crate::support;

use futures_util::SinkExt as _;
use socketio_server::{AckError, Args, Socket};
use support::{Client, Done, Message, Running, disconnections, server, within};

fn echo(server: &Running) {
    server.io.on("message", |socket: Socket, args: Args| async move {
        socket.emit("message-back", &args)?;
        Done::Ok(())
    });
}

#[tokio::test]
async fn polling_clients_exchange_events_acks_and_attachments() {
    let server = server().await;
    echo(&server);
    server.io.on("ask", |args: Args| async move { args });
    let sid = server.polling_client().await;
    let picture = r#"451-["message",{"_placeholder":true,"num":0}]"#;
    let body = format!("42[\"message\",1]\u{1e}427[\"ask\",2]\u{1e}{picture}\u{1e}bAQID");
    assert_eq!(server.request("POST", &sid, &body).await.0, 200);
    let mut seen = String::new();
    while !seen.ends_with("bAQID") {
        let (_, body) = server.request("GET", &sid, "").await;
        seen += if seen.is_empty() { "" } else { "\u{1e}" };
        seen += &body;
    }
    let back = r#"451-["message-back",{"_placeholder":true,"num":0}]"#;
    assert_eq!(seen, format!("42[\"message-back\",1]\u{1e}437[2]\u{1e}{back}\u{1e}bAQID"));
}

#[tokio::test]
async fn packets_after_an_invalid_packet_in_a_body_are_not_handled() {
    let server = server().await;
    let (sender, mut log) = support::log();
    server.io.on("event", move || {
        let _ = sender.send(());
        async {}
    });
    let mut reasons = disconnections(&server.io.of("/"));
    let sid = server.polling_client().await;
    let body = "42[\"event\"]\u{1e}4abc\u{1e}42[\"event\"]";
    server.request("POST", &sid, body).await;
    let (_, last) = server.request("GET", &sid, "").await;
    assert_eq!(last, "1");
    assert_eq!(reasons.next().await, "forced close");
    assert_eq!(log.rest().len(), 1);
}

#[tokio::test]
async fn a_polling_client_leaves() {
    let server = server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    let sid = server.polling_client().await;
    server.request("POST", &sid, "1").await;
    assert_eq!(reasons.next().await, "transport close");
}

#[tokio::test]
async fn an_upgrade_keeps_the_sockets() {
    let server = server().await;
    echo(&server);
    let sid = server.polling_client().await;
    let conn = server.io.engine().client(&sid).unwrap();
    assert!(!conn.is_upgraded());
    let stream = within(tokio::net::TcpStream::connect(server.address)).await.unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={sid}", server.address);
    let (stream, _) = within(tokio_tungstenite::client_async(url, stream)).await.unwrap();
    let mut client = Client(stream);
    client.send("2probe").await;
    client.expect("3probe").await;
    within(client.0.send(Message::text("5"))).await.unwrap();
    client.send(r#"42["message",1]"#).await;
    client.expect(r#"42["message-back",1]"#).await;
    assert!(conn.is_upgraded());
    assert_eq!(server.io.of("/").sockets_count(), 1);
}

#[tokio::test]
async fn an_ack_times_out_without_a_poll() {
    let server = server().await;
    let mut connected = support::sockets(&server.io.of("/"));
    server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    // The driver is waiting, and only the deadline will wake it.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let answer = socket.timeout(support::SOON).emit_with_ack::<()>("question", &());
    assert!(matches!(within(answer).await, Err(AckError::Timeout)));
}
