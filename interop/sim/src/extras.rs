//! Workloads that were added after seeds had become known. They draw from a generator of their own,
//! so that these seeds keep their plan and their troubles.

use socketio_server::{AckError, DeliveryError, Socket};

use crate::{client::Client, ledger::Ledger, node::Node, plan::Plan, random::Random};

pub(crate) struct Extras {
    random: Random,
    /// Whether events are sent until they are acked, by servers and by clients.
    pub(crate) reliable: bool,
    /// Whether packets have the encoding of `socket.io-msgpack-parser`.
    pub(crate) msgpack: bool,
}

impl Extras {
    /// Returns the extras of a seed. `basic`: none of them.
    pub(crate) fn new(seed: u64, basic: bool) -> Self {
        let mut random = Random::new(!seed);
        let (reliable, msgpack) = (random.chance(60), random.chance(30));
        Self { random, reliable: reliable && !basic, msgpack: msgpack && !basic }
    }

    /// Returns a generator for one part of the extras.
    pub(crate) fn fork(&mut self) -> Random {
        self.random.fork()
    }

    /// A piece of the workload.
    pub(crate) fn work(
        &mut self,
        plan: &Plan,
        nodes: &[Option<Node>],
        clients: &[Client],
        ledger: &Ledger,
    ) {
        if self.reliable && self.random.chance(40) {
            for _ in 0..=self.random.below(3) {
                let Some(client) = self.random.pick(clients) else { return };
                client.emit_retried(self.random.chance(50), ledger);
            }
        }
        if self.reliable && self.random.chance(40) {
            let node = self.random.pick(nodes).and_then(Option::as_ref);
            let connected = node.map(Node::connected).unwrap_or_default();
            if let Some((socket, _, client, nsp)) = self.random.pick(&connected) {
                let sequence = ledger.reliable_sequence((*client, *nsp));
                // For how long the client handles each event.
                let delays: Vec<_> = (0..=self.random.below(4))
                    .map(|_| if self.random.chance(50) { 0 } else { self.random.below(4_000) })
                    .collect();
                let recovers = plan.recovery;
                tokio::spawn(emit_reliably(socket.clone(), sequence, delays, recovers, ledger));
            }
        }
    }
}

/// Emits a sequence of reliable events, one after the other.
fn emit_reliably(
    socket: Socket,
    sequence: usize,
    delays: Vec<usize>,
    recovers: bool,
    ledger: &Ledger,
) -> impl Future<Output = ()> + 'static {
    let ledger = ledger.clone();
    async move {
        for (n, delay) in (0..).zip(delays) {
            ledger.asked();
            let result = socket.emit_reliably::<u32>("pay", &(sequence, n, delay)).await;
            ledger.note(format!("reliable sequence {sequence}: {n} ends with {result:?}"));
            match result {
                Ok(value) if value == n && ledger.was_reliable_handled(sequence, n) => {
                    ledger.answered(true);
                }
                Ok(value) => {
                    return ledger.violate(format!(
                        "at least once: {n} of reliable sequence {sequence} was not handled, but \
                         acked with {value}"
                    ));
                }
                Err(DeliveryError::Ack(AckError::Disconnected)) if recovers => {
                    return ledger.violate(format!(
                        "at least once: {n} of reliable sequence {sequence} did not wait for the \
                         client's return"
                    ));
                }
                Err(_) => return ledger.answered(false),
            }
        }
    }
}
