//! Tests of the driver that need a clock of their own or a look inside.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use engineio_parser::Transport;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socketio_server::{Data, HandlerError, Server, Socket};
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use crate::{ClientConfig, Manager};

/// Longer than any deadline in these tests.
const HANG: Duration = Duration::from_secs(10_000);

/// Options that connect to a server through in-memory streams.
fn config(server: &Server) -> ClientConfig {
    let server = server.engine().clone();
    let connect = move |_: String, _: u16| {
        let (client, end) = tokio::io::duplex(16 * 1024);
        let server = server.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.handle(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(end), service);
        tokio::spawn(connection.with_upgrades());
        std::future::ready(Ok::<_, std::io::Error>(client))
    };
    ClientConfig::default().auto_connect(false).engine(|engine| engine.connector(connect))
}

#[tokio::test(start_paused = true)]
async fn events_emitted_after_a_sleep_arrive_once_over_a_new_connection() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let io = Server::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        io.on("n", move |socket: Socket, Data(n): Data<u32>| {
            log.lock().unwrap().push((socket.id().to_string(), n));
            async move { n }
        });
        let asleep = Arc::new(AtomicBool::new(false));
        let slept = asleep.clone();
        let clock = move || {
            let hour = Duration::from_secs(if slept.load(Ordering::Relaxed) { 3600 } else { 0 });
            SystemTime::now() + hour
        };
        let config = config(&io).engine(|engine| engine.transports([via]).wall_clock(clock));
        let socket = Manager::with_config("http://server.test", config).unwrap().socket("/");
        tokio::time::timeout(HANG, socket.connect()).await.unwrap().unwrap();
        let first = socket.id().unwrap();
        socket.emit("n", &1).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;

        asleep.store(true, Ordering::Relaxed);
        socket.emit("n", &2).unwrap();
        socket.volatile().emit("n", &3).unwrap();
        let ack = tokio::time::timeout(HANG, socket.emit_with_ack::<u32>("n", &4)).await;
        assert_eq!(ack.unwrap().unwrap(), 4);
        let second = socket.id().unwrap();
        assert_ne!(first, second);
        let seen = seen.lock().unwrap().clone();
        let expected = [(&first, 1), (&second, 2), (&second, 4)];
        assert_eq!(seen, expected.map(|(id, n)| (id.to_string(), n)), "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_marked_late_holds_back_nothing_of_the_next_connection() {
    let io = Server::new();
    io.on("n", |Data(n): Data<u32>| async move { n });
    let socket = Manager::with_config("http://server.test", config(&io)).unwrap().socket("/");
    tokio::time::timeout(HANG, socket.connect()).await.unwrap().unwrap();
    socket.manager().close();
    tokio::time::timeout(HANG, socket.manager().closed()).await.unwrap();
    socket.mark_end();
    tokio::time::timeout(HANG, socket.connect()).await.unwrap().unwrap();
    let ack = tokio::time::timeout(HANG, socket.emit_with_ack::<u32>("n", &4)).await;
    assert_eq!(ack.unwrap().unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_busy_namespace_does_not_hold_up_the_others() {
    let io = Server::new();
    let names = ["/busy", "/quiet"];
    for name in names {
        io.of(name).on("start", move |socket: Socket| {
            let events = if name == "/busy" { 20 } else { 1 };
            (0..events).try_for_each(|_| socket.emit("work", &()))?;
            Ok::<_, HandlerError>(())
        });
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let config = config(&io).max_handlers(1);
    let manager = Manager::with_config("http://server.test", config).unwrap();
    let sockets = names.map(|name| {
        let (socket, order) = (manager.socket(name), order.clone());
        socket.on("work", move || {
            order.lock().unwrap().push(name);
            tokio::time::sleep(Duration::from_secs(1))
        });
        socket
    });
    for socket in &sockets {
        tokio::time::timeout(HANG, socket.connect()).await.unwrap().unwrap();
        socket.emit("start", &()).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 21);
    assert!(order.iter().position(|name| *name == "/quiet") < Some(4), "{order:?}");
}

/// Counts errors in the log, and those that are logged while the state of a socket is locked.
struct ErrorLog {
    socket: crate::Socket,
    counts: Arc<[AtomicUsize; 2]>,
}

impl Subscriber for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, _: &Event<'_>) {
        let [logged, locked] = &*self.counts;
        logged.fetch_add(1, Ordering::Relaxed);
        locked.fetch_add(self.socket.is_locked().into(), Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_log_is_written_without_a_lock() {
    let io = Server::new();
    let socket = Manager::with_config("http://server.test", config(&io)).unwrap().socket("/");
    let counts = Arc::new([0, 0].map(AtomicUsize::new));
    let log = ErrorLog { socket: socket.clone(), counts: counts.clone() };
    let _guard = tracing::subscriber::set_default(log);
    socket.emit("large", &"x".repeat(1_000_001)).unwrap();
    tokio::time::timeout(HANG, socket.connect()).await.unwrap().unwrap();
    let [logged, locked] = &*counts;
    assert_eq!((logged.load(Ordering::Relaxed), locked.load(Ordering::Relaxed)), (1, 0));
}
