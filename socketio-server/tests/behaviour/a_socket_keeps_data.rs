//! A socket keeps values of the application's types, and one serialized value.

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
async fn data_is_kept_per_type_from_middleware_to_disconnect() {
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
async fn a_value_replaces_the_previous_one_of_its_type() {
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
async fn a_value_is_created_once_and_updated_in_place() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    assert_eq!(socket.update_data(|_: &mut u8| unreachable!("there is no value")), None);
    assert_eq!(*socket.data_or_insert_with(|| 7_u8), 7);
    let former = socket.data_or_insert_with(|| -> u8 { unreachable!("there is a value") });
    assert_eq!(socket.update_data(|value: &mut u8| *value += 1).as_deref(), Some(&8));
    assert_eq!((*former, socket.data::<u8>().as_deref()), (7, Some(&8)));
}

#[tokio::test]
async fn concurrent_changes_of_a_value_are_not_lost() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    // Another change replaces the value during the first change. Both changes count.
    let mut disturbed = false;
    socket.set_data(1_u32);
    let changed = socket.update_data(|value: &mut u32| {
        if !std::mem::replace(&mut disturbed, true) {
            socket.set_data(10_u32);
        }
        *value += 1;
    });
    assert_eq!(changed.as_deref(), Some(&11));
    let mut disturbed = false;
    let shared = socket.update_shared(|value: &mut Option<u32>| {
        if !std::mem::replace(&mut disturbed, true) {
            socket.set_shared(&20).unwrap();
        }
        *value = Some(value.unwrap_or_default() + 1);
    });
    assert_eq!(shared.unwrap(), Some(21));
    assert_eq!(socket.shared::<u32>().unwrap(), 21);
    let created = socket.data_or_insert_with(|| {
        socket.set_data(Name("theirs"));
        Name("ours")
    });
    assert_eq!(*created, Name("theirs"));
}

#[tokio::test]
async fn a_shared_value_of_another_type_is_not_changed() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.update_shared(|data: &mut Value| data["name"] = "Ada".into()).unwrap();
    socket.update_shared(|_: &mut u8| unreachable!("the value is no number")).unwrap_err();
    assert_eq!(socket.shared::<Value>().unwrap(), json!({ "name": "Ada" }));
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
    // A value that cannot be serialized changes nothing. A value of another type is an error.
    let refused = std::collections::BTreeMap::from([((1, 2), 3)]);
    socket.set_shared(&refused).unwrap_err();
    socket.shared::<u8>().unwrap_err();
    assert_eq!(socket.shared::<Value>().unwrap()["ids"], json!([1, 2]));
    assert!(!socket.recovered());
}

#[tokio::test]
async fn a_weak_socket_keeps_nothing_alive() {
    let server = server().await;
    let (sender, mut log) = log::<(WeakSocket, std::sync::Weak<Name>)>();
    server.io.on_connection(move |socket: Socket| {
        let name = Arc::new(Name("kept"));
        socket.set_data(name.clone());
        // The weak reference keeps this from being a cycle.
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
async fn the_handshake_request_is_available() {
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
