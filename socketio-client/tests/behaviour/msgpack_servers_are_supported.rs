//! The packets of `socket.io-msgpack-parser`.
#![cfg(feature = "msgpack")]

use serde_json::json;
use socketio_client::{Binary, Parser, connect_with};
use socketio_server::{Args, Server, ServerConfig};

use crate::support::{Network, URL, within};

#[tokio::test(start_paused = true)]
async fn events_acks_and_binary_pass_through_msgpack() {
    let io = Server::with_config(ServerConfig::default().parser(Parser::MsgPack));
    io.on("echo", |args: Args| async move { args });
    let network = Network::new(&io);
    let socket = within(connect_with(URL, network.config().parser(Parser::MsgPack))).await.unwrap();
    let sent = (json!({ "a": [1, null] }), Binary(vec![1, 2].into()));
    let back: (serde_json::Value, Binary) = socket.emit_with_ack("echo", &sent).await.unwrap();
    assert_eq!(back, sent);
}
