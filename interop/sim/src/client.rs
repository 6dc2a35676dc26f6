//! A client of ours, with the handlers of the workload.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socketio_client::{
    AckError, ClientConfig, ClientError, ConnectError, Data, DisconnectReason, Manager,
    ManagerEvent, Parser, Reconnection, Socket, SocketConfig, Transport, Value,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    NAMESPACES, RETRIED,
    ledger::{Ledger, Receiver},
    network::Network,
    payload::{attachments, is_intact},
    random::Random,
    topics::Topics,
};

/// The data with which a client connects to a namespace.
#[derive(Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) client: usize,
}

pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) manager: Manager,
    pub(crate) sockets: Vec<Socket>,
    /// The number of the next event to the servers, per namespace.
    next: Vec<Arc<AtomicU32>>,
    /// The sockets of the namespaces [`RETRIED`].
    retried: Vec<Retried>,
    /// The namespaces that exist while clients use them.
    pub(crate) topics: Option<Topics>,
    /// Whether some events have attachments.
    pub(crate) attaches: bool,
    /// Whether the client has left on purpose.
    is_away: Arc<AtomicBool>,
    network: Network,
}

/// A socket that sends its events again if no ack arrives.
struct Retried {
    socket: Socket,
    /// The number of its next event.
    next: Arc<AtomicU32>,
    receiver: Receiver,
    retries: u32,
}

impl Client {
    pub(crate) fn start(
        number: usize,
        parser: Parser,
        network: &Network,
        ledger: &Ledger,
        random: &mut Random,
    ) -> Result<Self, ClientError> {
        let transports: &[Transport] = match random.below(4) {
            0 => &[Transport::Polling],
            1 => &[Transport::WebSocket],
            _ => &[Transport::Polling, Transport::WebSocket],
        };
        let connect = {
            let network = network.clone();
            move |_: String, _: u16| {
                let network = network.clone();
                async move { network.dial(number).await }
            }
        };
        let delay = random.millis(20..1000);
        // The random part of the delays would not follow from the seed.
        let reconnection = Reconnection::default()
            .delay(delay)
            .delay_max(delay * 4)
            .randomization_factor(0.0)
            .immediate(random.chance(30));
        let config = ClientConfig::default()
            .auto_connect(false)
            .parser(parser)
            .connect_timeout(Duration::from_secs(8))
            .close_timeout(random.millis(200..3000))
            .reconnection(reconnection)
            .socket(|socket| socket.auth(&Login { client: number }))
            .engine(|engine| {
                engine
                    .connector(connect)
                    .transports(transports.iter().copied())
                    // Longer than a ping interval, because a poll waits for the ping.
                    .request_timeout(Duration::from_secs(12))
            });
        let manager = Manager::with_config("http://world.test", config)?;
        manager.on({
            let (network, ledger) = (network.clone(), ledger.clone());
            move |event| {
                let name = event.name();
                let ManagerEvent::Close { reason, description } = event else {
                    return ledger.note(format!("client {number}: {name}"));
                };
                let description = description.as_deref().unwrap_or_default();
                ledger.note(format!("client {number}: {name}: {reason} {description}"));
                network.retarget(number);
            }
        });
        let count = 1 + random.below(NAMESPACES.len());
        let mut sockets = Vec::new();
        for (nsp, name) in NAMESPACES.iter().enumerate().take(count) {
            let socket = manager.socket(name);
            listen(&socket, (number, nsp), ledger);
            socket.open();
            sockets.push(socket);
        }
        let next = (0..count).map(|_| Arc::default()).collect();
        Ok(Self {
            number,
            manager,
            sockets,
            next,
            retried: Vec::new(),
            topics: None,
            attaches: false,
            is_away: Arc::default(),
            network: network.clone(),
        })
    }

    /// Opens the socket of the next namespace in which events are sent again.
    pub(crate) fn open_retried(&mut self, retries: u32, ledger: &Ledger) {
        let at = self.retried.len();
        let config = SocketConfig::default().auth(&Login { client: self.number });
        let config = config.retries(retries).ack_timeout(Duration::from_secs(6));
        let socket = self.manager.socket_with(RETRIED[at], config);
        socket.open();
        let receiver = (self.number, NAMESPACES.len() + at);
        if retries < u32::MAX {
            ledger.limit_attempts(receiver, retries + 1);
        }
        self.retried.push(Retried { socket, next: Arc::default(), receiver, retries });
    }

    /// Connects sockets again that servers have refused or disconnected.
    pub(crate) fn reopen_sockets(&self, delay: Duration) {
        let topics = self.topics.iter().flat_map(Topics::sockets);
        for socket in self.permanent_sockets().chain(topics) {
            let reopen = |is_away: Arc<AtomicBool>| {
                move |socket: Socket| {
                    let is_away = is_away.clone();
                    tokio::spawn(async move {
                        sleep(delay).await;
                        if !is_away.load(Relaxed) {
                            socket.open();
                        }
                    });
                }
            };
            let (refused, disconnected) =
                (reopen(self.is_away.clone()), reopen(self.is_away.clone()));
            socket.on_connect_error(move |socket: Socket, error: ConnectError| {
                if matches!(error, ConnectError::Refused { .. }) {
                    refused(socket);
                }
            });
            socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                if reason == DisconnectReason::IoServerDisconnect {
                    disconnected(socket);
                }
            });
        }
    }

    fn permanent_sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().chain(self.retried.iter().map(|it| &it.socket))
    }

    /// The sockets that the client wants to be connected.
    fn wanted_sockets(&self) -> impl Iterator<Item = &Socket> {
        self.permanent_sockets().chain(self.topics.iter().flat_map(Topics::wanted))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.wanted_sockets().all(Socket::is_connected)
    }

    /// Emits the next event that is sent again if no ack arrives. Without `awaits_ack` only where
    /// events are sent until they are acked.
    pub(crate) fn emit_retried(&self, at: usize, awaits_ack: bool, ledger: &Ledger) {
        let Some(Retried { socket, next, receiver: from, retries }) = self.retried.get(at) else {
            return;
        };
        let (from, is_limited) = (*from, *retries < u32::MAX);
        if !awaits_ack && !is_limited {
            if let Err(error) = socket.emit("save", &(from.0, next.fetch_add(1, Relaxed))) {
                ledger.violate(format!("client {from:?} cannot emit: {error}"));
            }
            return;
        }
        ledger.asked();
        let (socket, next, ledger) = (socket.clone(), next.clone(), ledger.clone());
        tokio::spawn(async move {
            let n = next.fetch_add(1, Relaxed);
            let ack = socket.emit_with_ack::<u32>("save", &(from.0, n)).await;
            ledger.retries_ended(from, n, ack.is_ok());
            match ack {
                Ok(value) if value == n && ledger.was_handled(from, n) => ledger.answered(true),
                // The handles of the socket have been dropped.
                Err(AckError::Disconnected) => ledger.answered(false),
                Err(AckError::Timeout) if is_limited => ledger.answered(false),
                ack => ledger.violate(format!("acks: client {from:?} got {ack:?} for {n}")),
            }
        });
    }

    /// Checks that servers have handled each event whose attempts have not all failed.
    pub(crate) fn check_retried(&self, ledger: &Ledger) {
        for Retried { next, receiver, .. } in &self.retried {
            ledger.check_retried(*receiver, next.load(Relaxed));
        }
    }

    /// Emits the next event to a server. With a time, an ack is requested.
    pub(crate) fn emit(&self, nsp: usize, ack: Option<Duration>, ledger: &Ledger) {
        let (Some(socket), Some(next)) = (self.sockets.get(nsp), self.next.get(nsp)) else {
            return;
        };
        let from = (self.number, nsp);
        let Some(time) = ack else {
            let _ = socket.emit("up", &(self.number, next.fetch_add(1, Relaxed)));
            return;
        };
        ledger.asked();
        let (socket, next, ledger) = (socket.clone(), next.clone(), ledger.clone());
        let attaches = self.attaches;
        tokio::spawn(async move {
            let began = Instant::now();
            // The event is sent when the task starts, so it gets its number then.
            let n = next.fetch_add(1, Relaxed);
            let emitter = socket.timeout(time);
            let ack = async {
                if !attaches || n.is_multiple_of(2) {
                    return emitter.emit_with_ack::<u32>("up", &(from.0, n)).await;
                }
                let payload = attachments(n, 97 * n as usize % 3_000);
                let echo = emitter.emit_with_ack("echo", &(from.0, n, &payload)).await;
                echo.map(|(value, echo): (u32, Value)| if echo == payload { value } else { !n })
            };
            // The timer of the ack has to end before this one.
            let ack = timeout(2 * time, ack).await;
            match ack {
                Ok(Ok(value)) if value == n && ledger.was_handled(from, n) => {
                    ledger.answered(true);
                }
                Ok(Ok(value)) => {
                    ledger.violate(format!("acks: client {from:?} got {value} for {n}"));
                }
                Ok(Err(_)) => ledger.answered(false),
                Err(_) => ledger.violate(format!(
                    "acks: {n} of client {from:?} has neither an ack nor an error after {:?}",
                    began.elapsed()
                )),
            }
        });
    }

    pub(crate) fn leave(&self) {
        self.is_away.store(true, Relaxed);
        let topics = self.topics.iter().flat_map(Topics::sockets);
        // A server may have refused a topic that the client has left since.
        self.permanent_sockets().chain(topics).for_each(Socket::disconnect);
    }

    pub(crate) fn come_back(&self) {
        self.is_away.store(false, Relaxed);
        self.network.retarget(self.number);
        self.wanted_sockets().for_each(Socket::open);
    }
}

pub(crate) fn listen(socket: &Socket, receiver: Receiver, ledger: &Ledger) {
    let (on_connect, on_event) = (ledger.clone(), ledger.clone());
    socket.on_connect(move |socket: Socket| {
        on_connect.client_connected(receiver, socket.is_recovered());
        async {}
    });
    socket.on("down", move |Data((stream, n, payload)): Data<(usize, u32, Value)>| {
        if !is_intact(&payload, n) {
            on_event.violate(format!("client {receiver:?} received {n} of {stream} damaged"));
        }
        on_event.received(receiver, stream, n);
        async {}
    });
    socket.on("ask", move || async move { receiver.0 });
    socket.on("return", |Data(payload): Data<Value>| async move { payload });
    let on_reliable = ledger.clone();
    socket.on("pay", move |Data((sequence, n, millis)): Data<(usize, u32, u64)>| {
        on_reliable.handled_reliable(receiver, sequence, n);
        async move {
            sleep(Duration::from_millis(millis)).await;
            n
        }
    });
}
