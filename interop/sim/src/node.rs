//! A server of ours, with the handlers of the workload.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use engineio_server::internal::serve_stream;
use socketio_server::{
    Auth, ClusterLimits, Data, HandlerError, ParentNamespace, Recovery, Server, ServerConfig,
    Socket, TurnLimits, Value, WeakSocket,
};
use tokio::{sync::watch, time::sleep};

use crate::{
    NAMESPACES, RETRIED,
    client::Login,
    engine::{Access, Engine},
    ledger::{Audience, Ledger, Origin},
    network::{End, Network},
    payload::attachments,
    plan::Plan,
    random::Random,
    topics,
};

/// Limits of a server, small enough to be reached.
pub(crate) const MAX_QUEUED_BYTES: usize = 24 * 1024;
pub(crate) const MAX_QUEUED_PACKETS: usize = 200;
const MAX_IN_FLIGHT: usize = 4;
const MAX_LOG_BYTES: usize = 256 * 1024;

/// How long a client may stay away.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// How long a server waits for the acks of a broadcast, or of other nodes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Until when an emit with acks of this timeout has ended, whatever happens. Acks wait behind
/// events on their way through the log.
pub(crate) fn ack_bound(timeout: Duration) -> Duration {
    timeout + 3 * REQUEST_TIMEOUT
}

/// The number of a socket's connection in the ledger.
pub(crate) struct ConnectionNumber(pub(crate) usize);

/// The sockets of a node, with their connection, client and namespace.
pub(crate) type Sockets = Arc<Mutex<Vec<(WeakSocket, usize, usize, usize)>>>;

pub(crate) struct Node {
    pub(crate) io: Server,
    pub(crate) origin: Origin,
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) sockets: Sockets,
    stop: Arc<watch::Sender<bool>>,
    /// Whether some events have attachments.
    pub(crate) attaches: bool,
    /// The namespaces that exist while clients use them.
    pub(crate) topics: Option<ParentNamespace>,
}

/// The wall clock. It only moves when the machine slept, because the server compares it with the
/// real monotonic clock, for which a run takes no time.
#[derive(Clone, Default)]
pub(crate) struct WallClock(Arc<Mutex<Duration>>);

impl WallClock {
    pub(crate) fn sleep(&self, time: Duration) {
        *lock(&self.0) += time;
    }

    fn now(&self) -> SystemTime {
        let slept = *lock(&self.0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + slept
    }
}

fn config(plan: &Plan, access: Option<Arc<Access>>, clock: WallClock) -> ServerConfig {
    let mut turn = TurnLimits::default();
    // The only limit that the real clock decides.
    turn.time = Duration::from_secs(3600);
    let (interval, timeout) = (plan.ping_interval, plan.ping_timeout);
    let mut config = ServerConfig::default()
        .parser(plan.parser)
        .connect_timeout(Duration::from_secs(10))
        .max_in_flight(MAX_IN_FLIGHT)
        .cluster_limits(ClusterLimits::default().request_timeout(REQUEST_TIMEOUT))
        .engine(move |engine| {
            let engine = engine
                .ping_interval(interval)
                .ping_timeout(timeout)
                .max_queued_bytes(MAX_QUEUED_BYTES)
                .max_queued_packets(MAX_QUEUED_PACKETS)
                .wall_clock(move || clock.now());
            engine.turn(turn)
        });
    if plan.recovery {
        let recovery = Recovery::default()
            .max_disconnection_duration(WINDOW)
            .max_bytes(MAX_LOG_BYTES)
            .crash_safe(plan.crash_safe)
            .skip_middlewares(!plan.delays_return);
        config = config.connection_state_recovery(recovery);
    }
    match access {
        Some(access) => config.adapter(access),
        None => config,
    }
}

impl Node {
    pub(crate) fn start(
        plan: &Plan,
        origin: Origin,
        engine: Option<&mut Engine>,
        network: &Network,
        ledger: &Ledger,
        clock: &WallClock,
        mut random: Random,
    ) -> Self {
        let access = engine.map(Engine::adapter);
        let io = Server::with_config(config(plan, access.clone(), clock.clone()));
        let sockets = Sockets::default();
        for (nsp, name) in NAMESPACES.iter().enumerate() {
            listen(&io, origin, nsp, name, ledger, &sockets, random.fork());
        }
        let stop = Arc::new(watch::Sender::new(false));
        let (serving, stopping) = (io.clone(), stop.clone());
        network.listen(
            origin.0,
            Some(Arc::new(move |end: End| {
                let (io, stopped) = (serving.clone(), stopping.subscribe());
                tokio::spawn(async move {
                    let address = ([127, 0, 0, 1], 1).into();
                    let engine = io.engine();
                    serve_stream(end, address, io.service(), engine.config(), stopped).await;
                });
            })),
        );
        Self { io, origin, access, sockets, stop, attaches: false, topics: None }
    }

    /// Handles the events that clients send again if no ack arrives.
    pub(crate) fn listen_retried(&self, ledger: &Ledger, random: Random) {
        let (origin, random) = (self.origin, Arc::new(Mutex::new(random)));
        for (at, name) in RETRIED.iter().enumerate() {
            let (namespace, nsp) = (self.io.of(name), NAMESPACES.len() + at);
            let on_connection = ledger.clone();
            namespace.on_connection(move |socket: Socket, Auth(Login { client }): Auth<Login>| {
                let recovered = socket.recovered();
                let connection = on_connection.server_connected(origin, (client, nsp), recovered);
                socket.set_data(ConnectionNumber(connection));
                async {}
            });
            let (on_event, random) = (ledger.clone(), random.clone());
            namespace.on("save", move |socket: Socket, Data((client, n)): Data<(usize, u32)>| {
                let connection = socket.data::<ConnectionNumber>().map(|connection| connection.0);
                on_event.handled_retried(connection, (client, nsp), n);
                let pause = pause(&random, 20, 1000);
                async move {
                    pause.await;
                    n
                }
            });
        }
    }

    /// Declares the namespaces that exist while clients use them.
    pub(crate) fn declare_topics(&mut self, ledger: &Ledger, random: Random) {
        self.topics = topics::declare(&self.io, self.origin, ledger, &self.sockets, random);
    }

    /// Delays some clients in a middleware, and refuses some of them while `refuses` is set.
    pub(crate) fn guard(&self, refuses: &Arc<AtomicBool>, random: Random) {
        let random = Arc::new(Mutex::new(random));
        let middleware = || {
            let (random, refuses) = (random.clone(), refuses.clone());
            move || {
                let is_refused = refuses.load(Relaxed) && lock(&random).chance(10);
                let pause = pause(&random, 30, 3000);
                async move {
                    pause.await;
                    if is_refused { Err(HandlerError::public("refused")) } else { Ok(()) }
                }
            }
        };
        for name in NAMESPACES.iter().chain(&RETRIED) {
            self.io.of(name).use_(middleware());
        }
        if let Some(topics) = &self.topics {
            topics.use_(middleware());
        }
    }

    /// Handles events of other nodes.
    pub(crate) fn listen_to_nodes(&self, ledger: &Ledger) {
        let (ledger, to) = (ledger.clone(), self.origin);
        let gossip = move |Data((from, n)): Data<(Origin, u32)>| ledger.gossip(to, from, n);
        self.io.on_server_side("gossip", gossip);
        self.io.on_server_side("roll call", move || to);
    }

    /// The sockets that are connected, with their connection, client and namespace.
    pub(crate) fn connected(&self) -> Vec<(Socket, usize, usize, usize)> {
        let mut sockets = lock(&self.sockets);
        sockets.retain(|(socket, ..)| socket.upgrade().is_some());
        let known = sockets.iter().filter_map(|(socket, connection, client, nsp)| {
            Some((socket.upgrade()?, *connection, *client, *nsp))
        });
        known.filter(|(socket, ..)| socket.is_connected()).collect()
    }

    /// Stops accepting requests on open connections.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Emits the next event of the node's stream to an audience.
    pub(crate) fn emit(
        &self,
        ledger: &Ledger,
        audience: &Audience,
        to: Option<&Socket>,
        pad: &str,
    ) {
        let (stream, n) = ledger.stream(self.origin, audience.clone());
        let payload = match self.attaches && n.is_multiple_of(3) {
            true => attachments(n, pad.len()),
            false => Value::String(pad.to_owned()),
        };
        let args = (stream, n, payload);
        let result = match (audience, to) {
            (Audience::Volatile(nsp, room), _) => {
                self.io.of(NAMESPACES[*nsp]).to(room.clone()).volatile().emit("down", &args)
            }
            (Audience::Room(nsp, room), _) if *nsp < topics::FIRST => {
                self.io.of(NAMESPACES[*nsp]).to(room.clone()).emit("down", &args)
            }
            (Audience::Room(nsp, room), _) => match self.topic(*nsp - topics::FIRST) {
                Some(topic) => topic.to(room.clone()).emit("down", &args),
                None => return,
            },
            (Audience::Socket(_), Some(socket)) => socket.emit("down", &args),
            (Audience::Socket(_), None) => return,
        };
        let outcome = if result.is_ok() { "emits" } else { "cannot emit" };
        ledger.note(format!("node {:?} {outcome} {n} of stream {stream}", self.origin));
        if result.is_ok() {
            ledger.sent(stream);
        }
    }

    /// Checks what must hold at any time.
    pub(crate) fn check_limits(&self, ledger: &Ledger) {
        for (socket, connection, ..) in self.connected() {
            let queued = socket.conn().queued();
            // One event of any size may exceed the limit.
            if queued.bytes > 2 * MAX_QUEUED_BYTES || queued.packets > MAX_QUEUED_PACKETS + 8 {
                ledger.violate(format!("limit: {queued:?} queued for connection {connection}"));
            }
        }
        let log = self.io.stats().recovery_log;
        let namespaces =
            NAMESPACES.len() + self.topics.as_ref().map_or(0, |it| it.children().len());
        if log.bytes > (namespaces * MAX_LOG_BYTES) as u64 {
            ledger.violate(format!("limit: node {:?} keeps {log:?}", self.origin));
        }
    }

    /// Checks that nothing is left of clients that have gone.
    pub(crate) fn check_empty(&self, ledger: &Ledger) {
        let stats = self.io.stats();
        let left = [
            ("clients", self.io.engine().clients_count() as u64),
            ("sockets", stats.sockets),
            ("rooms", stats.rooms),
            ("acks", stats.acks.pending()),
            ("requests", stats.cluster_requests),
            ("sessions", stats.recovery_log.sessions),
            ("topics", self.topics.as_ref().map_or(0, |it| it.children().len()) as u64),
        ];
        for (what, count) in left {
            if count > 0 {
                ledger.violate(format!("nothing left: node {:?} has {count} {what}", self.origin));
            }
        }
    }
}

/// A room that sockets join and leave during their session.
pub(crate) const CHANGING: &str = "changing";

/// Returns the rooms of a client. Each client is in two of them.
pub(crate) fn rooms(client: usize) -> [String; 2] {
    ["all".to_owned(), format!("group {}", client % 2)]
}

fn listen(
    io: &Server,
    origin: Origin,
    nsp: usize,
    name: &str,
    ledger: &Ledger,
    sockets: &Sockets,
    random: Random,
) {
    let namespace = io.of(name);
    let (on_connection, sockets) = (ledger.clone(), sockets.clone());
    namespace.on_connection(move |socket: Socket, Auth(Login { client }): Auth<Login>| {
        let connection = on_connection.server_connected(origin, (client, nsp), socket.recovered());
        socket.set_data(ConnectionNumber(connection));
        let known = (socket.downgrade(), connection, client, nsp);
        lock(&sockets).push(known);
        let joined = if socket.recovered() { Ok(()) } else { socket.join(rooms(client)) };
        async move { Ok(joined?) }
    });
    let random = Arc::new(Mutex::new(random));
    namespace.on("up", up(move |_| nsp, ledger, &random));
    namespace.on("echo", echo(move |_| nsp, ledger, &random));
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Returns the handler of the event `up`, which acks it with its number. `nsp` returns the number
/// of a socket's namespace.
pub(crate) fn up<F: Fn(&Socket) -> usize>(
    nsp: F,
    ledger: &Ledger,
    random: &Arc<Mutex<Random>>,
) -> impl Fn(Socket, Data<(usize, u32)>) -> BoxFuture<u32> + use<F> {
    let (ledger, random) = (ledger.clone(), random.clone());
    move |socket, Data((client, n))| {
        let pause = handle((&socket, nsp(&socket)), client, n, &ledger, &random);
        Box::pin(async move {
            pause.await;
            n
        })
    }
}

/// Returns the handler of the event `echo`, which acks it with its number and its payload.
pub(crate) fn echo<F: Fn(&Socket) -> usize>(
    nsp: F,
    ledger: &Ledger,
    random: &Arc<Mutex<Random>>,
) -> impl Fn(Socket, Data<Echo>) -> BoxFuture<(u32, Value)> + use<F> {
    let (ledger, random) = (ledger.clone(), random.clone());
    move |socket, Data((client, n, payload))| {
        let pause = handle((&socket, nsp(&socket)), client, n, &ledger, &random);
        Box::pin(async move {
            pause.await;
            (n, payload)
        })
    }
}

/// Records an event of a client. Returns a pause, in some cases.
fn handle(
    (socket, nsp): (&Socket, usize),
    client: usize,
    n: u32,
    ledger: &Ledger,
    random: &Mutex<Random>,
) -> impl Future<Output = ()> + use<> {
    let connection = socket.data::<ConnectionNumber>().map(|connection| connection.0);
    ledger.handled(connection, (client, nsp), n);
    pause(random, 30, 2000)
}

/// The arguments of an event that is returned: the client, the number and the payload.
pub(crate) type Echo = (usize, u32, Value);

/// In some of 100 cases, waits for less than this number of milliseconds.
fn pause(random: &Mutex<Random>, percent: usize, limit: usize) -> impl Future<Output = ()> + use<> {
    let delay = {
        let mut random = lock(random);
        random.chance(percent).then(|| random.millis(1..limit))
    };
    async move {
        if let Some(delay) = delay {
            sleep(delay).await;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
