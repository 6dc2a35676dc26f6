//! A client of ours, with the handlers of the workload.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socketio_client::{
    AckError, ClientConfig, ClientError, Data, Manager, ManagerEvent, Parser, Reconnection, Socket,
    SocketConfig, Transport,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    NAMESPACES, RETRIED,
    ledger::{Ledger, Receiver},
    network::Network,
    random::Random,
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
    /// The socket that sends its events until they are acked, with the number of its next event.
    retried: Option<(Socket, Arc<AtomicU32>)>,
    network: Network,
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
        Ok(Self { number, manager, sockets, next, retried: None, network: network.clone() })
    }

    /// Opens the socket that sends its events until they are acked.
    pub(crate) fn open_retried(&mut self) {
        let config = SocketConfig::default().auth(&Login { client: self.number });
        let config = config.retries(u32::MAX).ack_timeout(Duration::from_secs(6));
        let socket = self.manager.socket_with(RETRIED, config);
        socket.open();
        self.retried = Some((socket, Arc::default()));
    }

    fn all_sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().chain(self.retried.iter().map(|(socket, _)| socket))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.all_sockets().all(Socket::is_connected)
    }

    /// Emits the next event that is sent until it is acked.
    pub(crate) fn emit_retried(&self, awaits_ack: bool, ledger: &Ledger) {
        let Some((socket, next)) = &self.retried else { return };
        let from = self.retried_receiver();
        if !awaits_ack {
            if let Err(error) = socket.emit("save", &(from.0, next.fetch_add(1, Relaxed))) {
                ledger.violate(format!("client {from:?} cannot emit: {error}"));
            }
            return;
        }
        ledger.asked();
        let (socket, next, ledger) = (socket.clone(), next.clone(), ledger.clone());
        tokio::spawn(async move {
            let n = next.fetch_add(1, Relaxed);
            match socket.emit_with_ack::<u32>("save", &(from.0, n)).await {
                Ok(value) if value == n && ledger.was_handled(from, n) => ledger.answered(true),
                // The handles of the socket have been dropped.
                Err(AckError::Disconnected) => ledger.answered(false),
                ack => ledger.violate(format!("acks: client {from:?} got {ack:?} for {n}")),
            }
        });
    }

    /// Checks that servers have handled each event that was sent until it was acked.
    pub(crate) fn check_retried(&self, ledger: &Ledger) {
        let Some((_, next)) = &self.retried else { return };
        let (sent, from) = (next.load(Relaxed) as usize, self.retried_receiver());
        let handled = ledger.handled_count(from);
        if handled != sent {
            ledger.violate(format!(
                "at least once: servers have handled {handled} of {sent} events that client \
                 {from:?} sends until they are acked"
            ));
        }
    }

    fn retried_receiver(&self) -> Receiver {
        (self.number, NAMESPACES.len())
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
        tokio::spawn(async move {
            let began = Instant::now();
            // The event is sent when the task starts, so it gets its number then.
            let n = next.fetch_add(1, Relaxed);
            let args = (from.0, n);
            let emitter = socket.timeout(time);
            // The timer of the ack has to end before this one.
            let ack = timeout(2 * time, emitter.emit_with_ack::<u32>("up", &args)).await;
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
        self.all_sockets().for_each(Socket::disconnect);
    }

    pub(crate) fn come_back(&self) {
        self.network.retarget(self.number);
        self.all_sockets().for_each(Socket::open);
    }
}

fn listen(socket: &Socket, receiver: Receiver, ledger: &Ledger) {
    let (on_connect, on_event) = (ledger.clone(), ledger.clone());
    socket.on_connect(move |socket: Socket| {
        on_connect.client_connected(receiver, socket.is_recovered());
        async {}
    });
    socket.on("down", move |Data((stream, n, _)): Data<(usize, u32, String)>| {
        on_event.received(receiver, stream, n);
        async {}
    });
    socket.on("ask", move || async move { receiver.0 });
    let on_reliable = ledger.clone();
    socket.on("pay", move |Data((sequence, n, millis)): Data<(usize, u32, u64)>| {
        on_reliable.handled_reliable(receiver, sequence, n);
        async move {
            sleep(Duration::from_millis(millis)).await;
            n
        }
    });
}
