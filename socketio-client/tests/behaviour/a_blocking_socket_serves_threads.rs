//! The blocking socket connects, emits, waits and calls back without an async runtime of the
//! caller.

use std::{collections::HashMap, sync::mpsc, thread, time::Duration};

use socketio_client::{
    AckError, ClientConfig, ClientError, ConnectError, DisconnectReason, NextError, Reconnection,
    SocketConfig,
    blocking::{self, Socket},
};
use socketio_server::{Auth, Data, HandlerError, Server};
use tokio::runtime::Runtime;

/// Makes a test fail instead of hanging.
const LIMIT: Duration = Duration::from_secs(120);

/// A server in a runtime of its own.
struct Peer {
    io: Server,
    url: String,
    _runtime: Runtime,
}

impl Peer {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let io = Server::new();
        io.on("upper", |Data(text): Data<String>| text.to_uppercase());
        io.on("never", |_ack: socketio_server::Ack| std::future::pending::<()>());
        // Closes the connection without a packet of Socket.IO.
        io.on("lose", |socket: socketio_server::Socket| {
            socket.conn().close(socketio_server::Unsent::Send);
        });
        io.on("echo", |socket: socketio_server::Socket, Data(value): Data<u32>| async move {
            socket.emit("echo", &value)?;
            Ok(())
        });
        // Asks the client, and emits its answer.
        io.on("ask", |socket: socketio_server::Socket, Data(value): Data<u32>| async move {
            let answer: Result<u32, _> = socket.emit_with_ack("question", &value).await;
            socket.emit("answer", &answer.map_err(|error| error.to_string()))?;
            Ok(())
        });
        io.of("/auth").on_connection(
            |socket: socketio_server::Socket, Auth(auth): Auth<HashMap<String, String>>| async move {
                socket.emit("welcome", auth.get("token").map_or("", String::as_str))?;
                Ok(())
            },
        );
        let listening = runtime.block_on(io.bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listening.local_addr().unwrap());
        Self { io, url, _runtime: runtime }
    }

    /// Reports the disconnections of clients.
    fn disconnects(&self) -> mpsc::Receiver<()> {
        let (sender, disconnects) = mpsc::channel();
        self.io.on_disconnect(move || {
            let _ = sender.send(());
        });
        disconnects
    }

    fn socket(&self) -> Socket {
        let quick = Reconnection::default().delay(Duration::from_millis(10));
        let config = ClientConfig::default().reconnection(quick);
        Socket::new(&self.url, config, SocketConfig::default()).unwrap()
    }
}

#[test]
fn a_blocking_socket_gets_acks_and_events() {
    let peer = Peer::new();
    let socket = blocking::connect(&peer.url).unwrap();
    assert!(socket.is_connected() && socket.id().is_some());
    assert_eq!(socket.emit_with_ack::<String>("upper", "hello").unwrap(), "HELLO");
    let echo = socket.prepare_next::<u32>("echo");
    socket.emit("echo", &7).unwrap();
    assert_eq!(echo.wait(LIMIT).unwrap(), 7);
    assert!(matches!(socket.next::<u32>("echo", Duration::ZERO), Err(NextError::Timeout)));
    socket.disconnect();
    assert!(!socket.is_connected());
    assert!(matches!(socket.next::<u32>("echo", Duration::ZERO), Err(NextError::Timeout)));
}

#[test]
fn a_blocking_socket_sends_its_options_before_the_first_event() {
    let peer = Peer::new();
    let url = format!("{}/auth", peer.url);
    let config = SocketConfig::default().auth(&HashMap::from([("token", "secret")]));
    let socket = Socket::new(&url, ClientConfig::default(), config).unwrap();
    let welcome = socket.prepare_next::<String>("welcome");
    socket.connect().unwrap();
    assert_eq!(welcome.wait(LIMIT).unwrap(), "secret");
}

#[test]
fn errors_of_a_blocking_socket_are_those_of_the_async_one() {
    let peer = Peer::new();
    let unknown = blocking::connect(&format!("{}/unknown", peer.url));
    assert!(matches!(unknown, Err(ConnectError::Refused { .. })), "{unknown:?}");
    let invalid = blocking::connect("");
    assert!(matches!(invalid, Err(ConnectError::Client(ClientError::Url(_)))), "{invalid:?}");
    let impatient = SocketConfig::default().ack_timeout(Duration::from_millis(10));
    let socket = Socket::new(&peer.url, ClientConfig::default(), impatient).unwrap();
    socket.connect().unwrap();
    assert!(matches!(socket.emit_with_ack::<()>("never", &()), Err(AckError::Timeout)));
}

#[test]
fn callbacks_run_in_order_and_may_block_and_send_acks() {
    let peer = Peer::new();
    let socket = peer.socket();
    let (sender, seen) = mpsc::channel();
    socket.on("n", move |socket, n: u32| {
        // While this callback runs, the ack arrives.
        let text: String = socket.emit_with_ack("upper", &format!("n{n}")).unwrap();
        sender.send((text, thread::current().id())).unwrap();
    });
    socket.on("question", |_, n: u32| n * 2);
    socket.connect().unwrap();
    for n in 0..20 {
        peer.io.emit("n", &n).unwrap();
    }
    for n in 0..20 {
        let (text, thread) = seen.recv_timeout(LIMIT).unwrap();
        assert_eq!(text, format!("N{n}"));
        assert_ne!(thread, thread::current().id());
    }
    let answer = socket.prepare_next::<Result<u32, String>>("answer");
    socket.emit("ask", &21).unwrap();
    assert_eq!(answer.wait(LIMIT).unwrap(), Ok(42));
}

#[test]
fn a_callback_that_panics_or_fails_only_fails_the_ack() {
    let peer = Peer::new();
    let socket = peer.socket();
    socket.on("question", |_, n: u32| match n {
        0 => panic!("a callback panics"),
        1 => Err(HandlerError::public("not today")),
        n => Ok(n),
    });
    socket.connect().unwrap();
    for (n, expected) in [(0, Err(())), (1, Err(())), (2, Ok(2))] {
        let answer = socket.prepare_next::<Result<u32, String>>("answer");
        socket.emit("ask", &n).unwrap();
        assert_eq!(answer.wait(LIMIT).unwrap().map_err(drop), expected);
    }
}

#[test]
fn a_callback_can_disconnect_and_be_removed() {
    let peer = Peer::new();
    let socket = peer.socket();
    let removed = socket.on("stop", |_, ()| panic!("it was removed"));
    assert!(removed.remove());
    socket.on("stop", |socket, ()| socket.disconnect());
    let (sender, reasons) = mpsc::channel();
    socket.on_disconnect(move |reason| sender.send(reason).unwrap());
    socket.connect().unwrap();
    peer.io.emit("stop", &()).unwrap();
    assert_eq!(reasons.recv_timeout(LIMIT).unwrap(), DisconnectReason::IoClientDisconnect);
    assert!(!socket.is_connected());
}

#[test]
fn disconnect_returns_when_the_server_has_read_the_events() {
    let peer = Peer::new();
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    peer.io.on("n", move |Data(n): Data<u32>| {
        let _ = sender.send(n);
    });
    let socket = blocking::connect(&peer.url).unwrap();
    for n in 0..100 {
        socket.emit("n", &n).unwrap();
    }
    socket.disconnect();
    let received: Vec<u32> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
    assert_eq!(received, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_blocking_socket_reconnects_by_itself() {
    let peer = Peer::new();
    let socket = peer.socket();
    let (sender, reasons) = mpsc::channel();
    socket.on_disconnect(move |reason| sender.send(reason).unwrap());
    socket.connect().unwrap();
    let first = socket.id().unwrap();
    socket.emit("lose", &()).unwrap();
    reasons.recv_timeout(LIMIT).unwrap();
    socket.connected().unwrap();
    assert_ne!(socket.id(), Some(first));
    assert_eq!(socket.emit_with_ack::<String>("upper", "again").unwrap(), "AGAIN");
}

#[test]
fn dropping_the_last_handle_closes_the_connection_and_drops_the_callbacks() {
    let peer = Peer::new();
    let disconnects = peer.disconnects();
    let socket = blocking::connect(&peer.url).unwrap();
    let (held, dropped) = mpsc::channel::<()>();
    socket.on("event", move |_, ()| {
        let _ = held.send(());
    });
    let clone = socket.clone();
    drop(socket);
    assert_eq!(clone.emit_with_ack::<String>("upper", "still").unwrap(), "STILL");
    drop(clone);
    disconnects.recv_timeout(LIMIT).unwrap();
    assert_eq!(dropped.recv_timeout(LIMIT), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_callback_may_keep_the_last_handle_while_it_runs() {
    let peer = Peer::new();
    let disconnects = peer.disconnects();
    let socket = peer.socket();
    let (started, starts) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (sender, answers) = mpsc::channel();
    let released = std::sync::Mutex::new(released);
    socket.on("work", move |socket, ()| {
        started.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        sender.send(socket.emit_with_ack::<String>("upper", "still")).unwrap();
    });
    socket.connect().unwrap();
    peer.io.emit("work", &()).unwrap();
    starts.recv_timeout(LIMIT).unwrap();
    drop(socket);
    release.send(()).unwrap();
    assert_eq!(answers.recv_timeout(LIMIT).unwrap().unwrap(), "STILL");
    disconnects.recv_timeout(LIMIT).unwrap();
    assert!(matches!(answers.recv_timeout(LIMIT), Err(mpsc::RecvTimeoutError::Disconnected)));
}

#[test]
fn a_handler_of_the_async_socket_may_drop_the_last_handle() {
    let peer = Peer::new();
    let disconnects = peer.disconnects();
    let socket = peer.socket();
    socket.connect().unwrap();
    let handle = socket.async_socket().clone();
    let last = std::sync::Mutex::new(Some(socket));
    handle.on("drop", move || drop(last.lock().unwrap().take()));
    drop(handle);
    peer.io.emit("drop", &()).unwrap();
    disconnects.recv_timeout(LIMIT).unwrap();
}

#[test]
fn a_panic_in_a_callback_for_disconnections_stops_no_other() {
    let peer = Peer::new();
    let socket = peer.socket();
    socket.on_disconnect(|_| panic!("a callback panics"));
    let (sender, reasons) = mpsc::channel();
    socket.on_disconnect(move |reason| sender.send(reason).unwrap());
    socket.connect().unwrap();
    socket.emit("lose", &()).unwrap();
    reasons.recv_timeout(LIMIT).unwrap();
    socket.connected().unwrap();
    assert_eq!(socket.emit_with_ack::<String>("upper", "again").unwrap(), "AGAIN");
}

#[test]
fn several_threads_use_one_blocking_socket() {
    let peer = Peer::new();
    let socket = blocking::connect(&peer.url).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let socket = &socket;
            scope.spawn(move || {
                let text: String = socket.emit_with_ack("upper", &format!("t{n}")).unwrap();
                assert_eq!(text, format!("T{n}"));
            });
        }
    });
}

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn async_code_cannot_block() {
    let _ = blocking::connect("http://127.0.0.1:1");
}

#[tokio::test]
async fn a_blocking_task_of_a_runtime_can_block_and_async_code_can_drop_the_socket() {
    let peer = tokio::task::spawn_blocking(Peer::new).await.unwrap();
    let url = peer.url.clone();
    let socket = tokio::task::spawn_blocking(move || blocking::connect(&url)).await.unwrap();
    drop(socket.unwrap());
    tokio::task::spawn_blocking(move || drop(peer)).await.unwrap();
}
