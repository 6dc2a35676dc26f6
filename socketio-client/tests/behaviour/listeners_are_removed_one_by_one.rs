//! A handle removes one listener, of whatever kind. `on` and its like can be chained.

use socketio_client::{ListenerHandle, ManagerEvent};
use socketio_server::Server;

use crate::support::{Network, log, settle, within};

#[tokio::test(start_paused = true)]
async fn each_kind_of_listener_is_removed_alone() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    let handler = |name: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(name);
            async {}
        }
    };
    let outgoing = |name: &'static str| {
        let sender = sender.clone();
        move |_: &socketio_client::Args| {
            let _ = sender.send(name);
        }
    };
    let listeners: Vec<(ListenerHandle, &str)> = vec![
        (socket.on_any_outgoing(outgoing("outgoing")).listener(), "outgoing"),
        (socket.prepend_any_outgoing(outgoing("first outgoing")).listener(), "first outgoing"),
        (socket.on("n", handler("on")).listener(), "on"),
        (socket.on_any(handler("any")).listener(), "any"),
        (socket.prepend_any(handler("first")).listener(), "first"),
        (socket.on_connect(handler("connect")).listener(), "connect"),
        (socket.on_disconnect(handler("disconnect")).listener(), "disconnect"),
    ];
    socket.on("n", handler("kept")).on_any_outgoing(outgoing("kept outgoing"));
    let mut all = vec![
        "connect",
        "first outgoing",
        "outgoing",
        "kept outgoing",
        "first",
        "any",
        "on",
        "kept",
        "disconnect",
    ];
    for removed in std::iter::once(None).chain(listeners.iter().map(Some)) {
        if let Some((listener, name)) = removed {
            assert!(listener.remove(), "{name}");
            assert!(!listener.remove(), "{name}");
            all.retain(|it| it != name);
        }
        within(socket.connect()).await.unwrap();
        settle().await;
        socket.emit("a", &()).unwrap();
        io.emit("n", &()).unwrap();
        settle().await;
        socket.disconnect();
        within(socket.manager().closed()).await;
        settle().await;
        assert_eq!(seen.rest(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_runs_once_is_there_until_it_has_run() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let (first, second) =
        (socket.once("n", || async {}).listener(), socket.once("m", || async {}).listener());
    io.emit("n", &()).unwrap();
    settle().await;
    assert!(!first.remove() && second.remove());
    assert!(socket.event_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_named_listeners_are_removed_at_once() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    let handler = |name: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(name);
            async {}
        }
    };
    socket.on("n", handler("n")).on_connect(handler("connect")).on_any(handler("any"));
    socket.remove_all_listeners();
    within(socket.connect()).await.unwrap();
    io.emit("n", &()).unwrap();
    settle().await;
    assert_eq!(seen.rest(), ["any"]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_the_manager_is_removed_alone() {
    let io = Server::new();
    let manager = Network::new(&io).manager();
    let (sender, mut seen) = log();
    let listener = |name: &'static str| {
        let sender = sender.clone();
        move |event: &ManagerEvent| {
            if matches!(event, ManagerEvent::Open) {
                let _ = sender.send(name);
            }
        }
    };
    let removed = manager.on(listener("removed")).listener();
    manager.on(listener("first")).on(listener("second"));
    assert!(removed.remove() && !removed.remove());
    within(manager.socket("/").connect()).await.unwrap();
    assert_eq!(seen.rest(), ["first", "second"]);
    let last = manager.on(listener("late")).listener();
    manager.off();
    assert!(!last.remove());
}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_no_connection_alive() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let listener = socket.on("n", || async {}).listener();
    drop(socket);
    settle().await;
    assert_eq!(io.of("/").sockets_count(), 0);
    assert!(!listener.remove());
}
