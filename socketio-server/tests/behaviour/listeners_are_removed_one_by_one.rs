//! A handle removes exactly one listener, whatever its kind.

use crate::support;

use std::sync::Arc;

use socketio_server::{
    Event, ListenerHandle, MemoryCluster, Server, ServerConfig, ServerEvent, Socket,
};
use support::{fence, log, server, server_with, sockets, until, within};

#[tokio::test]
async fn a_handle_removes_one_of_several_handlers() {
    let server = server().await;
    let (sender, mut log) = log();
    let add = |name: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(name);
            async {}
        }
    };
    let io: &Server = &server.io;
    io.on("event", add("first")).on("other", add("other"));
    let second = io.on("event", add("second")).listener();
    io.on("event", add("third"));
    let any = io.on_any(add("any")).listener();
    let once = io.once("event", add("once")).listener();
    let typed = io.handle(Event::<(), ()>::new("event"), |_, ()| async {}).listener();
    let mut client = server.client().await;
    assert!(second.remove(), "a removed listener is reported");
    assert!(!second.clone().remove(), "a listener is removed once");
    assert!(typed.remove());
    client.burst(&[r#"42["event"]"#, r#"42["other"]"#]).await;
    client.fence().await;
    let expected = ["any", "first", "third", "once", "any", "other", "any"];
    assert_eq!(log.rest(), expected, "the fence is an event, too");
    assert!(any.remove() && !once.remove(), "a listener that has run once is gone");
    client.send(r#"42["event"]"#).await;
    client.fence().await;
    assert_eq!(log.rest(), ["first", "third"]);
    fence(io.remove_all_listeners().sockets());
    client.burst(&[r#"42["event"]"#, r#"42["other"]"#]).await;
    client.fence().await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn a_handle_removes_middlewares_and_lifecycle_handlers() {
    let server = server().await;
    let (sender, mut log) = log();
    let kept = Arc::new(());
    let add = |name: &'static str| {
        let (sender, kept) = (sender.clone(), kept.clone());
        move || {
            let (_, _) = (&kept, sender.send(name));
            async {}
        }
    };
    let io = &server.io;
    let mut handles = vec![
        io.use_(add("middleware")).listener(),
        io.on_connection(add("connection")).listener(),
        io.on_disconnecting(add("disconnecting")).listener(),
        io.on_disconnect(add("disconnect")).listener(),
    ];
    let sent = sender.clone();
    handles.push(
        io.on_any_outgoing(move |_, _| {
            let _ = sent.send("outgoing");
        })
        .listener(),
    );
    let first = server.client().await;
    until(|| io.sockets().sockets_count() == 1).await;
    io.emit("one", &()).unwrap();
    first.close().await;
    let expected = ["middleware", "connection", "outgoing", "disconnecting", "disconnect"];
    for name in expected {
        assert_eq!(log.next().await, name);
    }
    assert!(handles.iter().all(ListenerHandle::remove));
    assert_eq!(Arc::strong_count(&kept), 1, "a removed listener is dropped");
    let second = server.client().await;
    io.emit("two", &()).unwrap();
    second.close().await;
    until(|| io.sockets().sockets_count() == 0).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn a_handle_removes_a_listener_of_one_socket() {
    let server = server().await;
    let mut connected = sockets(server.io.sockets());
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let (sender, mut log) = log();
    let add = |name: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(name);
            async {}
        }
    };
    socket.on("event", add("kept")).on("event", add("kept too"));
    let outgoing = |name: &'static str| {
        let sender = sender.clone();
        move |_: &Socket, _: &_| {
            let _ = sender.send(name);
        }
    };
    let handles = [
        socket.on("event", add("handler")).listener(),
        socket.on_any(add("any")).listener(),
        socket.use_(add("middleware")).listener(),
        socket.on_disconnect(add("disconnect")).listener(),
        socket.on_any_outgoing(outgoing("second out")).listener(),
        socket.prepend_any_outgoing(outgoing("first out")).listener(),
    ];
    client.send(r#"42["event"]"#).await;
    client.fence().await;
    let expected = ["any", "middleware", "kept", "kept too", "handler", "any", "middleware"];
    assert_eq!(log.rest(), expected);
    socket.emit("news", &()).unwrap();
    assert_eq!(log.rest(), ["first out", "second out"]);
    assert!(handles.iter().all(ListenerHandle::remove));
    socket.emit("news", &()).unwrap();
    client.send(r#"42["event"]"#).await;
    while client.next().await.unwrap().into_text().unwrap().as_str() != r#"42["news"]"# {}
    client.next().await;
    client.fence().await;
    assert_eq!(log.rest(), ["kept", "kept too"]);
    // Listeners are dropped with the socket, so afterwards there is nothing to remove.
    let late = socket.on("event", add("late")).listener();
    client.close().await;
    within(socket.disconnected()).await;
    until(|| server.io.sockets().sockets_count() == 0).await;
    assert!(!late.remove());
    assert!(!socket.on("event", add("too late")).listener().remove());
}

#[tokio::test]
async fn a_handle_removes_a_handler_of_other_servers_events() {
    let cluster = MemoryCluster::new();
    let one = server_with(ServerConfig::default().adapter(cluster.adapter())).await;
    let two = server_with(ServerConfig::default().adapter(cluster.adapter())).await;
    let (sender, mut log) = log();
    let add = |name: &'static str| {
        let sender = sender.clone();
        move |_: ServerEvent| {
            let _ = sender.send(name);
            async { Ok(()) }
        }
    };
    let named = two.io.on_server_side("hello", add("named")).listener();
    let any = two.io.on_any_server_side(add("any")).listener();
    two.io.on_server_side("hello", add("last"));
    within(two.io.joined()).await;
    until(|| cluster.reaches(1, "/", "x")).await;
    one.io.server_side_emit("hello", &()).unwrap();
    for name in ["any", "named", "last"] {
        assert_eq!(log.next().await, name);
    }
    assert!(named.remove() && any.remove() && !named.remove());
    one.io.server_side_emit("hello", &()).unwrap();
    assert_eq!(log.next().await, "last");
    two.io.off_server_side("hello").on_server_side("bye", add("bye"));
    one.io.server_side_emit("hello", &()).unwrap();
    one.io.server_side_emit("bye", &()).unwrap();
    assert_eq!(log.next().await, "bye");
}

#[tokio::test]
async fn a_parents_middleware_is_removed_for_existing_children_and_a_handler_for_later_ones() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let refuses = parent
        .use_(|| async { Err::<(), _>(socketio_server::HandlerError::public("no")) })
        .listener();
    let handler = parent.on("event", || async { "handled" }).listener();
    server.io.of("/room/1");
    let mut client = server.open().await;
    client.send("40/room/1,").await;
    client.expect(r#"44/room/1,{"message":"no"}"#).await;
    assert!(refuses.remove() && handler.remove());
    client.connect("/room/1").await;
    client.send(r#"42/room/1,1["event"]"#).await;
    client.expect(r#"43/room/1,1["handled"]"#).await;
    client.connect("/room/2").await;
    client.send(r#"42/room/2,2["event"]"#).await;
    client.send(r#"42/room/1,3["event"]"#).await;
    client.expect(r#"43/room/1,3["handled"]"#).await;
}
