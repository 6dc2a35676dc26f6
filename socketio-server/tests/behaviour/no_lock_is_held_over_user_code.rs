//! User code may call any function from handlers, error handlers and destructors of closures.

use crate::support;

use socketio_server::{
    ClusterLimits, Data, HandlerError, NamespaceVerdict, Recovery, Server, Socket,
};
use support::{
    Done, log,
    nodes::{Node, cluster},
    server, sockets, within,
};

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> OnDrop<F> {
    fn held(&self) {}
}

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn everything(io: &Server, socket: &Socket) -> Done {
    io.on("declared later", || async {});
    io.use_(|| async {});
    io.of("/new");
    socket.on("own", || async {});
    socket.off("own");
    socket.join("room")?;
    socket.leave("room");
    io.to("room").sockets_join("other").unwrap();
    socket.emit("hi", &1)?;
    io.emit("all", &1)?;
    assert!(io.of("/").sockets_count() > 0);
    Ok(())
}

#[tokio::test]
async fn handlers_middlewares_and_the_error_handler_may_call_anything() {
    let server = server().await;
    let io = server.io.clone();
    server.io.use_(move |socket: Socket| {
        let done = everything(&io, &socket).is_err();
        async move { assert!(!done, "what was emitted early was refused") }
    });
    let io = server.io.clone();
    server.io.on("do", move |socket: Socket| {
        let done = everything(&io, &socket);
        async move { done }
    });
    let io = server.io.clone();
    server.io.on_error(move |socket, failure| {
        io.on_error(|_, _| {});
        socket.emit("failed", &failure.event).unwrap();
        everything(&io, socket).unwrap();
    });
    server.io.on("fail", |_: Data<u32>| async { Err::<(), _>(HandlerError::public("x")) });
    let mut client = server.open().await;
    client.send("40").await;
    while !client.text().await.starts_with("40") {}
    client.send(r#"421["do"]"#).await;
    client.expect(r#"42["hi",1]"#).await;
    client.expect(r#"42["all",1]"#).await;
    client.send(r#"421["fail",1]"#).await;
    client.expect(r#"431[{"error":"x"}]"#).await;
    client.expect(r#"42["failed","fail"]"#).await;
    client.expect(r#"42["hi",1]"#).await;
    client.expect(r#"42["all",1]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn destructors_of_handlers_may_call_anything() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let (sender, mut log) = log();
    let guard = |name: &'static str, socket: &Socket| {
        let (io, socket, sender) = (server.io.clone(), socket.clone(), sender.clone());
        OnDrop(move || {
            socket.on("again", || async {});
            io.on("again", || async {});
            if name == "replaced" {
                io.on_error(|_, _| {});
            }
            let _ = socket.join("room");
            let _ = sender.send(name);
        })
    };
    let taken_off = guard("taken off", &socket);
    socket.on("x", move || {
        taken_off.held();
        async {}
    });
    let replaced = guard("replaced", &socket);
    server.io.on_error(move |_, _| replaced.held());
    let at_the_end = guard("at the end", &socket);
    socket.on("y", move || {
        at_the_end.held();
        async {}
    });

    socket.off("x");
    assert_eq!(log.next().await, "taken off");
    server.io.on_error(|_, _| {});
    assert_eq!(log.next().await, "replaced");
    socket.disconnect();
    client.expect("41").await;
    assert_eq!(log.next().await, "at the end");
}

/// Wakers run while no lock is held.
#[tokio::test]
async fn wakers_may_call_anything() {
    struct Nosy(Socket, Server);
    impl std::task::Wake for Nosy {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.emit("woken", &());
            let _ = self.0.join("room");
            drop(self.0.emit_with_ack::<()>("x", &()));
            let _ = self.1.emit("woken", &());
        }
    }
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let waker = std::sync::Arc::new(Nosy(socket.clone(), server.io.clone())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut answers = Box::pin(server.io.emit_with_ack::<u32>("question", &()));
    let mut answer = Box::pin(socket.emit_with_ack::<u32>("question", &()));
    let mut gone = Box::pin(socket.disconnected());
    assert!(answers.as_mut().poll(&mut context).is_pending());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    assert!(gone.as_mut().poll(&mut context).is_pending());
    client.expect(r#"420["question"]"#).await;
    client.expect(r#"421["question"]"#).await;
    client.send("430[1]").await;
    client.expect(r#"42["woken"]"#).await;
    socket.disconnect();
    client.send("40").await;
    while !client.text().await.starts_with("40") {}
    assert!(answer.as_mut().poll(&mut context).is_ready());
    assert!(gone.as_mut().poll(&mut context).is_ready());
}

#[tokio::test]
async fn hooks_and_listeners_of_namespaces_may_call_anything() {
    let server = server().await;
    let (sender, mut log) = log();
    let (io, told) = (server.io.clone(), sender.clone());
    server.io.on_new_namespace(move |namespace| {
        let _ = told.send(namespace.name().to_owned());
        if namespace.name() == "/dynamic" {
            namespace.on("x", || async {});
            io.of("/by the hook");
            io.on_new_namespace(|_| {});
            io.close_namespace("/by the hook");
        }
    });
    let io = server.io.clone();
    server.io.of_fn(move |request| {
        io.of("/by the function");
        io.of_pattern("/later/{x}").unwrap();
        async move {
            Ok(if request.name() == "/dynamic" {
                NamespaceVerdict::Accept
            } else {
                NamespaceVerdict::Pass
            })
        }
    });
    let (mut client, _) = server.client_in("/dynamic").await;
    let made = [log.next().await, log.next().await, log.next().await];
    assert_eq!(made, ["/by the function", "/dynamic", "/by the hook"]);

    let mut connected = sockets(server.io.sockets());
    client.connect("/").await;
    let socket = within(connected.recv()).await.unwrap();
    let io = server.io.clone();
    let told = sender.clone();
    socket.on_any_outgoing(move |socket, args| {
        let _ = told.send(args.event().to_owned());
        if args.event() == "first" {
            everything(&io, socket).unwrap();
            socket.off_any_outgoing();
        }
    });
    server.io.emit("first", &()).unwrap();
    assert_eq!(log.rest(), ["first", "/new", "hi", "all"]);

    for sent in [r#"42["hi",1]"#, r#"42["all",1]"#, r#"42["first"]"#] {
        client.expect(sent).await;
    }

    // Destructors of the listeners.
    let ends = |what: &'static str| {
        let (held, sender) = (socket.clone(), sender.clone());
        OnDrop(move || {
            held.on_any(|| async {});
            held.namespace().on_any(|| async {});
            held.on_any_outgoing(|_, _| {});
            held.namespace().on_any_outgoing(|_, _| {});
            let _ = (held.data::<u8>(), sender.send(what.to_owned()));
        })
    };
    let held = ends("any");
    socket.on_any(move || {
        held.held();
        async {}
    });
    socket.off_any();
    let held = ends("outgoing");
    socket.on_any_outgoing(move |_, _| held.held());
    socket.off_any_outgoing();
    let held = ends("outgoing of all");
    server.io.sockets().on_any_outgoing(move |_, _| held.held()).off_any_outgoing();
    let held = ends("any of all");
    server.io.on_any(move || {
        held.held();
        async {}
    });
    server.io.sockets().off_any();
    let held = ends("once");
    socket.once("once", move || {
        held.held();
        async {}
    });
    client.send(r#"42["once"]"#).await;
    client.fence().await;
    socket.set_data(std::sync::Mutex::new(ends("data")));
    socket.set_data(std::sync::Mutex::new(ends("data again")));
    let expected = ["any", "outgoing", "outgoing of all", "any of all", "once", "data"];
    assert_eq!(log.rest(), expected);
}

#[tokio::test]
async fn a_tracing_subscriber_may_emit() {
    let limits = ClusterLimits::default().max_queued_bytes(1);
    let node = Node::with(cluster().adapter(), Recovery::default(), limits).await;
    let io = node.server.io.clone();
    let (sender, mut log) = log();
    let writer = move || {
        let _ = sender.send(io.emit("logged", &()).is_err());
        std::io::sink()
    };
    let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
    let _default = tracing::subscriber::set_default(subscriber);
    while node.server.io.emit("event", &()).is_ok() {}
    assert!(log.next().await, "the queue to the other nodes is full");
}
