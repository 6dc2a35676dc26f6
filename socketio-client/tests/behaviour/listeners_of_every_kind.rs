//! `once`, `off`, catch-all listeners, outgoing listeners, and events as a stream.

use socketio_client::{Args, Data, EventName};
use socketio_server::{HandlerError, Server};

use crate::support::{Network, log, peer, settle, within};

#[tokio::test(start_paused = true)]
async fn handlers_are_added_and_removed() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    let handler = |name: &'static str| {
        let sender = sender.clone();
        move |Data(n): Data<u32>| {
            let _ = sender.send(format!("{name} {n}"));
            async {}
        }
    };
    socket.on("n", handler("on"));
    socket.once("n", handler("once"));
    socket.on_any(handler("any"));
    socket.prepend_any(handler("first"));
    within(socket.connect()).await.unwrap();
    io.emit("n", &1).unwrap();
    io.emit("n", &2).unwrap();
    settle().await;
    assert_eq!(seen.rest(), ["first 1", "any 1", "on 1", "once 1", "first 2", "any 2", "on 2"]);
    assert_eq!(socket.event_names(), ["n"]);
    socket.off_any();
    socket.off("n");
    io.emit("n", &3).unwrap();
    settle().await;
    assert!(seen.rest().is_empty() && socket.event_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn names_of_connection_changes_get_their_texts_as_arguments() {
    let io = Server::new();
    io.of("/closed").use_(|| Err::<(), _>(HandlerError::public("no").with_data(&1)));
    let network = Network::new(&io);
    let (sender, mut seen) = log();
    let (socket, closed) = (network.socket("/"), network.socket("/closed"));
    for socket in [&socket, &closed] {
        for event in ["connect", "disconnect", "connect_error"] {
            let sender = sender.clone();
            socket.on(event, move |args: Args| {
                let _ = sender.send(format!("{} {}", args.event(), args.raw()));
            });
        }
        socket.once("connect", |_: EventName| {});
    }
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.next().await, "connect ");
    within(closed.connect()).await.unwrap_err();
    assert_eq!(seen.next().await, r#"connect_error {"message":"no","data":1}"#);
    socket.disconnect();
    assert_eq!(seen.next().await, r#"disconnect "io client disconnect""#);
    socket.off("connect");
    assert!(!socket.event_names().contains(&"connect".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn outgoing_listeners_see_every_event() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    socket.on_any_outgoing(move |args: &Args| {
        let _ =
            sender.send(format!("{} {} {}", args.event(), args.raw(), args.attachments().len()));
    });
    socket.on_any_outgoing(|_| panic!("a listener"));
    socket.emit("say", &("a", socketio_client::Binary(vec![1].into()))).unwrap();
    assert_eq!(seen.next().await, "say \"a\",{\"_placeholder\":true,\"num\":0} 1");
    socket.off_any_outgoing();
    socket.emit("say", &1).unwrap();
    assert!(seen.rest().is_empty());
}

#[tokio::test]
async fn listeners_are_added_on_several_threads() {
    let socket = Network::new(&Server::new()).socket("/");
    let (sender, mut seen) = log();
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..500 {
                    let sender = sender.clone();
                    socket.on_any_outgoing(move |_| _ = sender.send(()));
                }
            });
        }
    });
    socket.emit("a", &()).unwrap();
    assert_eq!(seen.rest().len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn events_are_a_stream() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let mut events = socket.events();
    let peer = peer(&io, &socket);
    // A stream is a handle, so the connection stays open.
    drop(socket);
    for n in 0..100 {
        io.emit("n", &n).unwrap();
    }
    for n in 0..100 {
        let received = within(events.next()).await.unwrap();
        assert_eq!((received.event(), received.args.decode::<u32>().unwrap()), ("n", n));
    }
    let asked = tokio::spawn(async move { peer.emit_with_ack::<u32>("ask", &()).await });
    within(events.next()).await.unwrap().ack.send(&7).unwrap();
    assert_eq!(within(asked).await.unwrap().unwrap(), 7);
    drop(events);
    settle().await;
    assert_eq!(io.of("/").sockets_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_handler_serves_several_events() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    for event in ["start", "stop"] {
        socket.on(event, |EventName(event): EventName| async move { event });
    }
    within(socket.connect()).await.unwrap();
    let peer = peer(&io, &socket);
    assert_eq!(peer.emit_with_ack::<String>("stop", &()).await.unwrap(), "stop");
}
