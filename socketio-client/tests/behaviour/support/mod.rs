//! A server behind in-memory connections that can be cut and frozen, under a paused clock.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineio_server::{Connection, Engine, EngineConfig, Event, PacketData};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socketio_client::{ClientConfig, Manager, ManagerEvent, Socket, Transport};
use socketio_server::{Args, Server};
use tokio::{
    io::copy_bidirectional,
    sync::{mpsc, watch},
    task::JoinSet,
};

pub(crate) const URL: &str = "http://server.test";

/// Longer than any deadline in these tests. It takes no real time under a paused clock.
pub(crate) const HANG: Duration = Duration::from_secs(100_000);

/// Fails if `future` hangs.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(HANG, future).await {
            Ok(value) => value,
            Err(_) => panic!("hangs at {caller}"),
        }
    }
}

/// Lets everything happen that needs no time or very little.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    server: Mutex<Option<Engine>>,
    wires: Mutex<JoinSet<()>>,
    frozen: watch::Sender<bool>,
    dialed: AtomicUsize,
}

impl Network {
    pub(crate) fn new(server: &Server) -> Self {
        Self::to(server.engine().clone())
    }

    /// A scripted server. The function returns its response to each message, and its first packet
    /// for `None`.
    pub(crate) fn raw(
        answer: impl Fn(Option<&str>) -> Vec<String> + Clone + Send + Sync + 'static,
    ) -> Self {
        let config = EngineConfig::default().path("/socket.io/");
        Self::to(Engine::new(config, move |mut connection: Connection| {
            let answer = answer.clone();
            async move {
                let mut answers = answer(None);
                loop {
                    for text in answers.drain(..) {
                        let _ = connection.send(PacketData::Text(text.into()));
                    }
                    match connection.event().await {
                        Event::Message(PacketData::Text(text)) => answers = answer(Some(&text)),
                        Event::Closed(_) => return,
                        _ => {}
                    }
                }
            }
        }))
    }

    fn to(engine: Engine) -> Self {
        Self(Arc::new(Inner {
            server: Mutex::new(Some(engine)),
            wires: Mutex::default(),
            frozen: watch::channel(false).0,
            dialed: AtomicUsize::new(0),
        }))
    }

    /// Directs new connections to this server and accepts them.
    pub(crate) fn replace(&self, server: Option<&Server>) {
        *self.0.server.lock().unwrap() = server.map(|server| server.engine().clone());
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        *self.0.wires.lock().unwrap() = JoinSet::new();
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn down(&self) {
        self.replace(None);
        self.cut();
    }

    /// Stops all data without telling the ends.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.0.frozen.send_replace(frozen);
    }

    /// Returns the number of attempts to connect.
    pub(crate) fn dialed(&self) -> usize {
        self.0.dialed.load(Ordering::Relaxed)
    }

    /// Options that connect to this server over one WebSocket.
    pub(crate) fn config(&self) -> ClientConfig {
        self.polling().engine(|engine| engine.transports([Transport::WebSocket]))
    }

    /// Options that connect to this server over polling and an upgrade.
    pub(crate) fn polling(&self) -> ClientConfig {
        let network = self.clone();
        let connect = move |_: String, _: u16| std::future::ready(network.dial());
        ClientConfig::default().auto_connect(false).engine(|engine| engine.connector(connect))
    }

    /// Creates a manager whose sockets connect only on request.
    pub(crate) fn manager(&self) -> Manager {
        Manager::with_config(URL, self.config()).unwrap()
    }

    pub(crate) fn socket(&self, nsp: &str) -> Socket {
        self.manager().socket(nsp)
    }

    /// One more connection.
    pub(crate) fn dial(&self) -> io::Result<tokio::io::DuplexStream> {
        self.0.dialed.fetch_add(1, Ordering::Relaxed);
        let Some(server) = self.0.server.lock().unwrap().clone() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (client, mut near) = tokio::io::duplex(16 * 1024);
        let (mut far, end) = tokio::io::duplex(16 * 1024);
        let mut frozen = self.0.frozen.subscribe();
        let mut wires = self.0.wires.lock().unwrap();
        wires.spawn(async move {
            tokio::select! {
                biased;
                () = freezing(&mut frozen) => std::future::pending().await,
                _ = copy_bidirectional(&mut near, &mut far) => {}
            }
        });
        let service = service_fn(move |request: Request<Incoming>| {
            let engine = server.clone();
            async move { Ok::<_, Infallible>(engine.handle(request).await) }
        });
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(end), service).with_upgrades(),
        );
        Ok(client)
    }
}

async fn freezing(frozen: &mut watch::Receiver<bool>) {
    let _ = frozen.wait_for(|frozen| *frozen).await;
}

/// Returns the server's end of a socket.
pub(crate) fn peer(server: &Server, socket: &Socket) -> socketio_server::Socket {
    server.of(socket.nsp().as_str()).socket(&socket.id().unwrap()).unwrap()
}

/// A log that handlers write and a test reads.
pub(crate) fn log<T>() -> (mpsc::UnboundedSender<T>, Log<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Log(receiver))
}

/// Logs what `read` returns for each event that a server receives.
pub(crate) fn received<T: Send + 'static>(
    io: &Server,
    read: impl Fn(Args) -> T + Send + Sync + 'static,
) -> Log<T> {
    let (sender, log) = log();
    io.on_any(move |args: Args| {
        let _ = sender.send(read(args));
        async {}
    });
    log
}

pub(crate) struct Log<T>(mpsc::UnboundedReceiver<T>);

impl<T> Log<T> {
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = T> {
        let next = within(self.0.recv());
        async move { next.await.unwrap() }
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<T> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Returns the lines written since the last call.
    pub(crate) fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// Logs the connection changes of a socket.
pub(crate) fn connection_events(socket: &Socket) -> Log<String> {
    use socketio_client::{ConnectError, DisconnectReason};
    let (sender, log) = log();
    let write = move |text: String| {
        let _ = sender.send(text);
        async {}
    };
    let [one, two, three] = [write.clone(), write.clone(), write];
    socket.on("connect", move || one("connect".into()));
    socket.on_disconnect(move |reason: DisconnectReason| two(format!("disconnect: {reason}")));
    socket.on_connect_error(move |error: ConnectError| three(format!("connect_error: {error}")));
    log
}

/// Logs the events of a connection, without pings and upgrades.
pub(crate) fn manager_events(manager: &Manager) -> Log<String> {
    let (sender, log) = log();
    manager.on(move |event| {
        let text = match event {
            ManagerEvent::Ping | ManagerEvent::Upgrade(_) => return,
            ManagerEvent::Reconnecting { .. } => return,
            ManagerEvent::Error(error) => format!("error: {error}"),
            ManagerEvent::ReconnectError(error) => format!("reconnect_error: {error}"),
            ManagerEvent::Close { reason, .. } => format!("close: {reason}"),
            other => format!("{other:?}"),
        };
        let _ = sender.send(text);
    });
    log
}
