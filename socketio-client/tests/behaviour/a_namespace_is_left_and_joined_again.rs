//! Disconnecting and connecting at once, in a way that every server accepts. Node's server closes
//! the connection if CONNECT directly follows DISCONNECT, or if DISCONNECT arrives before its
//! response to CONNECT.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use socketio_client::{Manager, Socket};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc::UnboundedSender,
    time::Instant,
};

use crate::support::{Log, Network, URL, connection_events, log, manager_events, settle, within};

/// A server that grants each namespace. It grants `/slow` when an event `go` arrives in another
/// one.
fn server() -> (Network, Log<(String, Instant)>) {
    let (sender, seen): (UnboundedSender<(String, Instant)>, _) = log();
    let network = Network::raw(move |text| {
        let Some(text) = text else { return Vec::new() };
        let _ = sender.send((text.to_owned(), Instant::now()));
        let granted = |nsp: &str| format!(r#"0{nsp}{{"sid":"abc"}}"#);
        match text {
            "0/slow," | "1/slow," => Vec::new(),
            r#"2/other,["go"]"# => vec![granted("/slow,")],
            r#"2/other,["refuse"]"# => vec![r#"4/slow,{"message":"no"}"#.into()],
            text if text.starts_with("0/") => vec![granted(text.trim_start_matches('0'))],
            "0" => vec![granted("")],
            _ => Vec::new(),
        }
    });
    (network, seen)
}

#[tokio::test(start_paused = true)]
async fn a_lone_namespace_is_joined_again_over_a_new_connection() {
    let (network, mut seen) = server();
    let socket = network.socket("/");
    let mut log = manager_events(socket.manager());
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    socket.disconnect();
    within(socket.connect()).await.unwrap();
    assert_eq!(network.dialed(), 2);
    let texts: Vec<_> = seen.take(3).await.into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts.iter().filter(|text| *text == "0").count(), 2, "{texts:?}");
    settle().await;
    assert_eq!(life.rest(), ["connect", "disconnect: io client disconnect", "connect"]);
    assert_eq!(log.rest(), ["Open", "close: forced close", "Open"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_beside_others_is_joined_again_after_a_pause() {
    let (network, mut seen) = server();
    let manager = network.manager();
    let (socket, other) = (manager.socket("/a"), manager.socket("/other"));
    within(other.connect()).await.unwrap();
    within(socket.connect()).await.unwrap();
    let mut life = connection_events(&socket);
    socket.disconnect();
    within(socket.connect()).await.unwrap();
    let seen = seen.take(4).await;
    let (left, asked) = (&seen[2], &seen[3]);
    assert_eq!((left.0.as_str(), asked.0.as_str()), ("1/a,", "0/a,"));
    assert!(asked.1 - left.1 >= Duration::from_millis(50));
    settle().await;
    assert_eq!(life.rest(), ["disconnect: io client disconnect", "connect"]);
    assert_eq!(network.dialed(), 1);
    assert!(other.is_connected());
}

#[tokio::test(start_paused = true)]
async fn disconnect_is_sent_after_the_response_to_connect() {
    for (word, wanted) in [("go", false), ("go", true), ("refuse", false), ("refuse", true)] {
        let (network, mut seen) = server();
        let manager = network.manager();
        let (socket, other) = (manager.socket("/slow"), manager.socket("/other"));
        let mut life = connection_events(&socket);
        within(other.connect()).await.unwrap();
        socket.open();
        settle().await;
        socket.disconnect();
        if wanted {
            socket.open();
        }
        settle().await;
        let texts = |seen: &mut Log<(String, Instant)>| -> Vec<String> {
            seen.rest().into_iter().map(|(text, _)| text).collect()
        };
        assert_eq!(texts(&mut seen), ["0/other,", "0/slow,"]);
        other.emit(word, &()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut expected = vec![format!(r#"2/other,["{word}"]"#)];
        expected.extend((word == "go").then(|| "1/slow,".into()));
        expected.extend(wanted.then(|| "0/slow,".into()));
        assert_eq!(texts(&mut seen), expected);
        assert!(life.rest().is_empty() && other.is_connected());
        assert_eq!((socket.is_active(), network.dialed()), (wanted, 1));
        if wanted {
            other.emit("go", &()).unwrap();
            within(socket.connect()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_left_before_there_is_a_connection() {
    let (network, _seen) = server();
    network.down();
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    assert_eq!(life.next().await, "connect_error: websocket error");
    let before = Instant::now();
    socket.disconnect();
    let error = within(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "websocket error");
    assert!(before.elapsed() < Duration::from_millis(100), "it is tried at once");
}

/// A stream that is cut while a thread disconnects the socket at the same moment. The flag tells
/// whether it also opens the socket again.
struct Cut {
    stream: DuplexStream,
    then: Arc<Mutex<Option<(Socket, bool)>>>,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let then = self.then.lock().unwrap().take();
        if let Some((socket, again)) = then {
            socket.disconnect();
            if again {
                socket.open();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

type Cuts = (Network, Socket, Log<String>, Arc<Mutex<Option<(Socket, bool)>>>);

/// Returns the network, a connected socket, the log of its connection events, and the result of
/// its next read.
async fn cut() -> Cuts {
    let (network, _seen) = server();
    let then = Arc::default();
    let (dialling, cutting) = (network.clone(), Arc::clone(&then));
    let config = network.config().engine(|engine| {
        engine.connector(move |_: String, _: u16| {
            let then = Arc::clone(&cutting);
            std::future::ready(dialling.dial().map(|stream| Cut { stream, then }))
        })
    });
    let socket = Manager::with_config(URL, config).unwrap().socket("/");
    let life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    (network, socket, life, then)
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_left_while_the_connection_is_lost() {
    let (network, socket, mut life, then) = cut().await;
    *then.lock().unwrap() = Some((socket.clone(), false));
    socket.emit("wake", &()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(life.rest(), ["connect", "disconnect: io client disconnect"]);
    assert_eq!(network.dialed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_left_then_joined_again_while_the_connection_is_lost() {
    let (network, socket, mut life, then) = cut().await;
    *then.lock().unwrap() = Some((socket.clone(), true));
    socket.emit("wake", &()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(life.rest(), ["connect", "disconnect: io client disconnect", "connect"]);
    assert!(socket.is_connected());
    assert_eq!(network.dialed(), 2);
}

#[tokio::test(start_paused = true)]
async fn whatever_waits_to_be_sent() {
    let (network, _seen) = server();
    let config = network.config().engine(|engine| engine.max_queued_packets(1));
    let manager = Manager::with_config(URL, config).unwrap();
    let sockets = ["/", "/a", "/b", "/c"].map(|nsp| manager.socket(nsp));
    sockets.iter().for_each(Socket::open);
    for socket in &sockets {
        within(socket.connect()).await.unwrap();
    }
    for socket in &sockets[1..] {
        socket.disconnect();
    }
    for socket in &sockets[1..] {
        within(socket.connect()).await.unwrap();
    }
    assert_eq!(network.dialed(), 1);
    assert!(sockets[0].is_connected());
}
