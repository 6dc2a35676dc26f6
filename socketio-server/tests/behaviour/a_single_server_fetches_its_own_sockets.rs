//! A server without an adapter fetches its own sockets, and has no other servers.

use crate::support;

use serde_json::{Value, json};
use socketio_server::{AckError, Event, Value as Dynamic};
use support::{SOON, server, sockets, within};

const MOVED: Event<(i32, i32)> = Event::new("moved");
const NAME: Event<(), String> = Event::new("name?");

#[tokio::test]
async fn fetched_sockets_have_rooms_data_and_handshake() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, _other) = (server.client().await, server.client().await);
    let socket = within(connected.recv()).await.unwrap();
    socket.join("a").unwrap();
    socket.set_shared(&json!({ "name": "x" })).unwrap();

    let all = within(server.io.fetch_sockets()).await.unwrap();
    assert_eq!(all.len(), 2);
    let found = within(server.io.to("a").fetch_sockets()).await.unwrap();
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.id(), found.is_local()), (socket.id(), true));
    assert_eq!(
        found.rooms().iter().map(|room| room.as_str()).collect::<Vec<_>>(),
        [socket.id(), "a"]
    );
    assert_eq!(found.data::<Value>().unwrap(), json!({ "name": "x" }));
    let handshake = found.handshake();
    for field in
        ["headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth"]
    {
        assert!(handshake.get(field).is_some(), "{field}");
    }
    let time = handshake.get("time").and_then(Dynamic::as_str).unwrap();
    assert!(time.ends_with(" GMT+0000 (Coordinated Universal Time)"), "{time}");
    let eio = handshake.get("query").and_then(|query| query.get("EIO"));
    assert_eq!(eio.and_then(Dynamic::as_str), Some("4"));

    found.emit("hello", &1).unwrap();
    client.expect(r#"42["hello",1]"#).await;
    found.join("b").unwrap();
    found.leave("a").unwrap();
    assert!(socket.rooms().iter().any(|room| room.as_str() == "b"));
    assert!(!socket.rooms().iter().any(|room| room.as_str() == "a"));
    let asked = tokio::spawn({
        let found = found.clone();
        async move { found.emit_with_ack::<u32>("question", &()).await }
    });
    let question = client.text().await;
    client.send(&question.replace("42", "43").replace(r#"["question"]"#, "[7]")).await;
    assert_eq!(within(asked).await.unwrap().unwrap(), 7);

    // The volatile event is dropped if another one is being written.
    client.fence().await;
    found.volatile().emit("volatile", &()).unwrap();
    client.expect(r#"42["volatile"]"#).await;
    found.send(&1).unwrap();
    found.emit_event(MOVED, &(3, 4)).unwrap();
    found.compress(false).emit_event(MOVED, &(5, 6)).unwrap();
    for event in [r#"["message",1]"#, r#"["moved",3,4]"#, r#"["moved",5,6]"#] {
        client.expect(&format!("42{event}")).await;
    }
    let asked = found.timeout(SOON).emit_event_with_ack(NAME, &());
    assert!(matches!(within(asked).await, Err(AckError::Timeout)));
    let question = client.text().await;
    assert!(question.ends_with(r#"["name?"]"#), "{question}");
    found.disconnect().unwrap();
    client.expect("41").await;
}

#[tokio::test]
async fn a_single_server_gets_no_replies_of_other_servers() {
    let server = server().await;
    server.io.on_server_side("hello", |event: socketio_server::ServerEvent| async move {
        panic!("its own event came back: {event:?}")
    });
    server.io.server_side_emit("hello", &1).unwrap();
    let answers = within(server.io.server_side_emit_with_ack::<u32>("hello", &1)).await;
    assert!(answers.unwrap().is_empty());
    assert!(server.io.server_side_emit("disconnect", &()).is_err());
    assert_eq!(server.io.of("/").server_count().await.unwrap(), 1);
    within(server.io.joined()).await;
}
