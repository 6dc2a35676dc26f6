//! Values of the application's own types stay with their socket, and so does the one that is serialised.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use socketio_server::{Socket, WeakSocket};
use support::{log, server, sockets, until, within};

struct Hits(AtomicU32);

#[derive(Debug, PartialEq)]
struct Name(&'static str);

#[tokio::test]
async fn one_of_each_type_from_middleware_to_disconnect() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.use_(|socket: Socket| async move {
        socket.set_data(Hits(0.into()));
    });
    server.io.on("hit", |socket: Socket| async move {
        socket.data::<Hits>().map(|hits| hits.0.fetch_add(1, Ordering::Relaxed) + 1)
    });
    server.io.on_disconnect(move |socket: Socket| {
        let hits = socket.data::<Hits>().map(|hits| hits.0.load(Ordering::Relaxed));
        let _ = sender.send((hits, socket.data::<Name>().is_some()));
        async {}
    });
    let mut client = server.client().await;
    client.send(r#"420["hit"]"#).await;
    client.expect("430[1]").await;
    client.send(r#"421["hit"]"#).await;
    client.expect("431[2]").await;
    client.close().await;
    assert_eq!(log.next().await, (Some(2), false));
}

#[tokio::test]
async fn a_value_replaces_the_former_one_of_its_type() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    assert_eq!(socket.set_data(Name("a")), None);
    socket.set_data(7_u8);
    assert_eq!(socket.set_data(Name("b")).as_deref(), Some(&Name("a")));
    assert_eq!(socket.remove_data::<Name>().as_deref(), Some(&Name("b")));
    assert_eq!((socket.data::<Name>(), socket.data::<u8>().as_deref()), (None, Some(&7)));
}

#[tokio::test]
async fn the_shared_value_is_null_until_it_is_set() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    assert_eq!(socket.shared::<Value>().unwrap(), Value::Null);
    socket.set_shared(&json!({ "name": "Ada", "ids": [1, 2] })).unwrap();
    assert_eq!(socket.shared::<Value>().unwrap()["name"], "Ada");
    // What cannot be serialised changes nothing, what is of another type is an error.
    let refused = std::collections::BTreeMap::from([((1, 2), 3)]);
    socket.set_shared(&refused).unwrap_err();
    socket.shared::<u8>().unwrap_err();
    assert_eq!(socket.shared::<Value>().unwrap()["ids"], json!([1, 2]));
    assert!(!socket.recovered());
}

#[tokio::test]
async fn a_weak_socket_keeps_nothing() {
    let server = server().await;
    let (sender, mut log) = log::<(WeakSocket, std::sync::Weak<Name>)>();
    server.io.on_connection(move |socket: Socket| {
        let name = Arc::new(Name("kept"));
        socket.set_data(name.clone());
        // A cycle, but for the weak end of it.
        socket.set_data(socket.downgrade());
        let _ = sender.send((socket.downgrade(), Arc::downgrade(&name)));
        async {}
    });
    let client = server.client().await;
    let (weak, name) = log.next().await;
    assert!(weak.upgrade().unwrap().is_connected());
    assert!(name.upgrade().is_some());
    client.close().await;
    until(|| weak.upgrade().is_none() && name.upgrade().is_none()).await;
}

#[tokio::test]
async fn the_request_that_opened_the_connection_is_there() {
    let server = server().await;
    assert_eq!(server.io.path(), "/socket.io/");
    assert_eq!(server.io.sockets().name(), "/");
    let mut connected = sockets(server.io.sockets());
    let before = std::time::SystemTime::now();
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let handshake = socket.handshake();
    assert_eq!(handshake.url(), "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(handshake.query()[1], ("transport".to_owned(), "websocket".to_owned()));
    assert_eq!(handshake.headers()["host"], server.address.to_string());
    assert!(handshake.remote_addr().unwrap().ip().is_loopback());
    assert!(handshake.issued() >= before);
    assert!(!handshake.is_cross_domain());
    assert_eq!(socket.conn().transport(), socketio_server::Transport::WebSocket);
    assert!(!socket.conn().is_upgraded());
    socket.send(&"one").unwrap();
    server.io.send(&("two", 2)).unwrap();
    server.io.to(socket.id()).send(&()).unwrap();
    client.expect(r#"42["message","one"]"#).await;
    client.expect(r#"42["message","two",2]"#).await;
    client.expect(r#"42["message"]"#).await;
}
