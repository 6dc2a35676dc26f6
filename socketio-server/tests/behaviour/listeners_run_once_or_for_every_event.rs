//! Handlers that run once, handlers of every event, listeners of outgoing events, and their
//! removal.

use crate::support;

use std::sync::{Arc, Mutex};

use socketio_server::{Ack, Args, Binary, EventName, Socket};
use support::{Done, log, server, sockets, until, within};

#[tokio::test]
async fn a_once_handler_runs_once_per_socket_or_namespace() {
    let server = server().await;
    let (sender, mut log) = log();
    let kept = Arc::new(());
    for name in ["of the namespace", "always"] {
        let (sender, kept) = (sender.clone(), kept.clone());
        let handler = move || {
            let (_, _) = (&kept, sender.send(name));
            async {}
        };
        if name == "always" {
            server.io.on("event", handler);
        } else {
            server.io.sockets().once("event", handler);
        }
    }
    let gone = sender.clone();
    let (held, once) = (kept.clone(), sender);
    server.io.on_connection(move |socket: Socket| {
        let (held, once, gone) = (held.clone(), once.clone(), gone.clone());
        socket.once("event", move || {
            let (_, _) = (&held, once.send("of the socket"));
            async {}
        });
        socket.once("disconnect", move || {
            let _ = gone.send("gone");
            async {}
        });
        assert_eq!(socket.event_names(), ["event"]);
        async {}
    });
    let before = Arc::strong_count(&kept);
    let mut first = server.client().await;
    first.burst(&[r#"42["event"]"#, r#"42["event"]"#]).await;
    first.fence().await;
    assert_eq!(log.rest(), ["of the namespace", "always", "of the socket", "always"]);
    // A handler that has run is dropped.
    assert_eq!(Arc::strong_count(&kept), before - 1);
    let mut second = server.client().await;
    second.burst(&[r#"42["event"]"#, r#"42["event"]"#]).await;
    second.fence().await;
    assert_eq!(log.rest(), ["always", "of the socket", "always"]);
    second.close().await;
    assert_eq!(log.next().await, "gone");
}

#[tokio::test]
async fn off_removes_the_handlers_of_an_event() {
    let server = server().await;
    let mut connected = sockets(server.io.sockets());
    server.io.on("event", || async { "namespace" });
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.on("event", || async { "socket" });
    client.send(r#"420["event"]"#).await;
    client.expect(r#"430["namespace"]"#).await;
    server.io.sockets().off("event");
    client.send(r#"421["event"]"#).await;
    client.expect(r#"431["socket"]"#).await;
    socket.off("event");
    client.send(r#"422["event"]"#).await;
    client.fence().await;
    assert_eq!(socket.event_names(), [""; 0]);
}

#[tokio::test]
async fn handlers_of_every_event_run_first_and_may_ack() {
    let server = server().await;
    let mut connected = sockets(server.io.sockets());
    let (sender, mut log) = log();
    let told = |name: &'static str| {
        let sender = sender.clone();
        move |EventName(event): EventName, args: Args| {
            if event != "fence" {
                let _ = sender.send(format!("{name} {event} {}", args.raw()));
            }
            async {}
        }
    };
    server.io.on_any(told("second"));
    server.io.sockets().prepend_any(told("first"));
    server.io.on("known", told("handler"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.on_any(told("fourth"));
    socket.prepend_any(told("third"));
    client.send(r#"42["known",1]"#).await;
    client.send(r#"42["unknown",2]"#).await;
    client.fence().await;
    let order = ["first", "second", "third", "fourth"];
    let mut expected: Vec<_> = order.iter().map(|name| format!("{name} known 1")).collect();
    expected.push("handler known 1".to_owned());
    expected.extend(order.iter().map(|name| format!("{name} unknown 2")));
    assert_eq!(log.rest(), expected);

    socket.off_any();
    server.io.sockets().off_any();
    client.send(r#"42["known",3]"#).await;
    client.fence().await;
    assert_eq!(log.rest(), ["handler known 3"]);

    socket.on_any(|ack: Ack| async move {
        ack.send(&"by all")?;
        Done::Ok(())
    });
    client.send(r#"427["unknown"]"#).await;
    client.expect(r#"437["by all"]"#).await;
}

#[tokio::test]
async fn outgoing_listeners_run_for_each_recipient() {
    let server = server().await;
    let mut connected = sockets(server.io.sockets());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut one, mut two) = (server.client().await, server.client().await);
    let first = within(connected.recv()).await.unwrap();
    let second = within(connected.recv()).await.unwrap();
    let told = |name: &'static str| {
        let (seen, first) = (seen.clone(), first.id().to_owned());
        move |socket: &Socket, args: &Args| {
            let to = if socket.id() == first { 1 } else { 2 };
            let attached = args.attachments().len();
            let text = format!("{name} to {to}: {} {} {attached}", args.event(), args.raw());
            seen.lock().unwrap().push(text);
        }
    };
    first.emit("before", &()).unwrap();
    first.on_any_outgoing(told("own"));
    second.emit("others", &()).unwrap();
    first.emit("event", &("a", Binary(vec![1].into()))).unwrap();
    server.io.emit("all", &1).unwrap();
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    let expected = [format!("own to 1: event \"a\",{placeholder} 1"), "own to 1: all 1 0".into()];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);

    server.io.sockets().on_any_outgoing(told("namespace"));
    let asked = first.clone();
    let question = tokio::spawn(async move { asked.emit_with_ack::<u8>("ask", &()).await });
    until(|| seen.lock().unwrap().len() == 2).await;
    server.io.except(first.id()).emit("some", &()).unwrap();
    let expected = ["namespace to 1: ask  0", "own to 1: ask  0", "namespace to 2: some  0"];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);

    server.io.sockets().off_any_outgoing();
    first.off_any_outgoing();
    server.io.emit("silent", &()).unwrap();
    assert!(seen.lock().unwrap().is_empty());
    // A listener that panics has no further effect.
    first.on_any_outgoing(|_, _| panic!("contained"));
    server.io.emit("last", &()).unwrap();
    for client in [&mut one, &mut two] {
        while client.next().await.unwrap().into_text().unwrap().as_str() != r#"42["last"]"# {}
    }
    question.abort();
}

#[tokio::test]
async fn lifecycle_handlers_run_once_and_can_be_removed() {
    let server = server().await;
    let (sender, mut log) = log();
    let kept = Arc::new(());
    let tell = |what: &'static str| {
        let (sender, kept) = (sender.clone(), kept.clone());
        move || {
            let (_, _) = (&kept, sender.send(what));
            async {}
        }
    };
    let namespace = server.io.sockets();
    namespace.once("connection", tell("the first one"));
    namespace.once("disconnect", tell("the first to go"));
    namespace.on_disconnect(tell("not heard"));
    namespace.off("disconnect").once("disconnect", tell("gone"));
    assert_eq!(Arc::strong_count(&kept), 3);
    let mut first = server.client().await;
    assert_eq!(log.next().await, "the first one");
    // A client cannot trigger the handler.
    first.send(r#"42["connection"]"#).await;
    first.fence().await;
    let mut second = server.client().await;
    second.fence().await;
    assert!(log.rest().is_empty());
    first.close().await;
    assert_eq!(log.next().await, "gone");
    second.close().await;
    until(|| namespace.sockets_count() == 0).await;
    assert!(log.rest().is_empty());
    assert_eq!(Arc::strong_count(&kept), 1, "what has run is gone");
}
