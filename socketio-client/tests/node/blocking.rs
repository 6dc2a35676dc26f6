//! The blocking socket against the servers.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_client::{ClientConfig, ConnectError, SocketConfig, blocking::Socket};

use crate::support::{
    case::on_servers,
    peer::{self, Program},
};

on_servers!(a_blocking_socket_talks_to_the_server);

const LIMIT: Duration = Duration::from_secs(120);

async fn a_blocking_socket_talks_to_the_server(program: Program) {
    let url = format!("http://127.0.0.1:{}", peer::shared(program, "json"));
    tokio::task::spawn_blocking(move || talk(&url)).await.unwrap();
}

fn talk(url: &str) {
    let auth = SocketConfig::default().auth(&json!({ "token": "x" }));
    let socket = Socket::new(url, ClientConfig::default(), auth).unwrap();
    let welcome = socket.prepare_next::<Value>("welcome");
    socket.on("question", |socket, (number, text): (u32, String)| {
        // The server answers while it waits for this ack.
        let echoed: u32 = socket.emit_with_ack("ack", &number).unwrap();
        (echoed * 2, text)
    });
    socket.connect().unwrap();
    assert_eq!(welcome.wait(LIMIT).unwrap(), json!({ "token": "x" }));
    let answered = socket.prepare_next::<(u32, String)>("answered");
    socket.emit("ask", &(21, "text")).unwrap();
    assert_eq!(answered.wait(LIMIT).unwrap(), (42, "text".to_owned()));
    socket.disconnect();

    let locked = format!("{url}/locked");
    let refused = socketio_client::blocking::connect(&locked).unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Refused { message, .. } if message == "not authorized")
    );
}
