//! The events that were sent and received, and the invariants that hold for them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{Options, node::CHANGING};

/// The lines of the trace that a violation prints.
const TRACE: usize = 250;

/// An event emitted within this time of a failure of its node may be lost.
pub(crate) const LOSS_TIME: Duration = Duration::from_secs(15);

/// The socket of a client: the number of the client, and of its namespace.
pub(crate) type Receiver = (usize, usize);

/// The recipients of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Audience {
    /// The sockets of a namespace that are in a room.
    Room(usize, String),
    /// The same, but events are dropped for sockets that cannot be sent them at once.
    Volatile(usize, String),
    /// One socket of one connection.
    Socket(usize),
}

/// Where a stream comes from: the node, and how often the node had been started.
pub(crate) type Origin = (usize, usize);

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    start: Option<Instant>,
    options: Options,
    trace: VecDeque<String>,
    /// Of the whole trace.
    hash: u64,
    violation: Option<String>,
    streams: Vec<Stream>,
    by_source: BTreeMap<(Origin, Audience), usize>,
    /// The last number of each stream, of room streams only in the present session.
    received: BTreeMap<Receiver, BTreeMap<usize, u32>>,
    loss_periods: Vec<LossPeriod>,
    /// The numbers of a client's events that a server has handled.
    handled: BTreeMap<Receiver, BTreeSet<u32>>,
    /// The last number that each connection of a socket has brought.
    connections: Vec<Option<u32>>,
    /// How often each client's socket has connected.
    connects: BTreeMap<Receiver, usize>,
    reliable: Vec<ReliableSequence>,
    /// The events of clients that are sent a limited number of times.
    limited: BTreeMap<Receiver, Limited>,
    /// The number of the next event of each node to the others.
    gossips: BTreeMap<Origin, u32>,
    /// The number of the last event that a node has handled of another one.
    heard: BTreeMap<(Origin, Origin), u32>,
    counts: Counts,
    /// For how long the process stood still.
    stood_still: Duration,
}

/// Events numbered from 0 by one sender to one audience.
struct Stream {
    origin: Origin,
    direct: bool,
    /// Whether a client that changes nodes may get an event twice: its node delivers it at once,
    /// and the other one when the engine has it.
    volatile: bool,
    /// Whether the recipients stay the same in their session.
    complete: bool,
    sent: Vec<Instant>,
}

/// Reliable events to one socket, numbered from 0. Each is sent after the ack of the one before.
struct ReliableSequence {
    receiver: Receiver,
    /// The number of the last handled event, and the connection of the client that handled it.
    last: Option<(u32, usize)>,
}

/// Events of a client that are sent a limited number of times, each after the end of the one before.
#[derive(Default)]
struct Limited {
    /// How often each may be sent.
    limit: u32,
    /// How often servers have handled each event.
    attempts: BTreeMap<u32, u32>,
    /// The number of events that have ended.
    ended: u32,
    /// The events that got no ack.
    failed: BTreeSet<u32>,
}

/// A period in which events of a node, or of all nodes, may be lost.
struct LossPeriod {
    node: Option<usize>,
    /// The number of the first namespace whose events may be lost.
    first_nsp: usize,
    from: Instant,
    to: Option<Instant>,
}

/// The numbers of sessions, events and acks in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sockets that connected to a namespace, on the servers.
    pub sessions: u64,
    /// Of these, recovered ones.
    pub recovered: u64,
    /// Events that clients have received.
    pub received: u64,
    /// Events that servers have handled.
    pub handled: u64,
    /// Acks that were requested by either side.
    pub asked: u64,
    /// Of these, acks that arrived.
    pub acked: u64,
    /// Of these, requests that ended without one.
    pub unacked: u64,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new(options: Options) -> Self {
        let ledger = Self::default();
        ledger.state().start = Some(Instant::now());
        ledger.state().options = options;
        ledger
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.state().note(text.into());
    }

    /// Reports a violation. The first one counts.
    pub(crate) fn violate(&self, text: impl Into<String>) {
        self.state().violate(text.into());
    }

    pub(crate) fn violation(&self) -> Option<(String, Vec<String>)> {
        let state = self.state();
        Some((state.violation.clone()?, state.trace.iter().cloned().collect()))
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state().hash
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Returns the stream of an origin to an audience, and the number of its next event.
    pub(crate) fn stream(&self, origin: Origin, audience: Audience) -> (usize, u32) {
        let state = &mut *self.state();
        let next = state.streams.len();
        let direct = matches!(audience, Audience::Socket(_));
        let volatile = matches!(audience, Audience::Volatile(..));
        let complete = match &audience {
            Audience::Room(_, room) => room != CHANGING,
            Audience::Volatile(..) => false,
            Audience::Socket(_) => true,
        };
        let id = *state.by_source.entry((origin, audience)).or_insert(next);
        if id == next {
            state.streams.push(Stream { origin, direct, volatile, complete, sent: Vec::new() });
        }
        (id, state.streams[id].sent.len() as u32)
    }

    /// Notes that the stream's next event has been accepted.
    pub(crate) fn sent(&self, stream: usize) {
        let state = &mut *self.state();
        state.streams[stream].sent.push(Instant::now());
    }

    /// From now on events of the namespaces from `first_nsp` on may be lost, and those that were
    /// sent shortly before.
    pub(crate) fn begin_losses(&self, node: Option<usize>, first_nsp: usize) {
        let from = Instant::now() - LOSS_TIME;
        self.state().loss_periods.push(LossPeriod { node, first_nsp, from, to: None });
    }

    /// Ends the periods in which events of a node may be lost. Events sent after `delay` arrive
    /// again.
    pub(crate) fn end_losses(&self, node: Option<usize>, first_nsp: usize, delay: Duration) {
        let to = Instant::now() + delay;
        let loss_periods = &mut self.state().loss_periods;
        let open = loss_periods.iter_mut().filter(|period| {
            (period.node, period.first_nsp) == (node, first_nsp) && period.to.is_none()
        });
        open.for_each(|period| period.to = Some(to));
    }

    /// A client received an event.
    pub(crate) fn received(&self, receiver: Receiver, stream: usize, n: u32) {
        let state = &mut *self.state();
        state.counts.received += 1;
        if state.options.loses == Some(state.counts.received) {
            return;
        }
        state.note(format!("client {receiver:?} receives {n} of stream {stream}"));
        let Some(Stream { origin, direct, complete, sent, .. }) = state.streams.get(stream) else {
            return state.violate(format!("client {receiver:?} received an unknown stream"));
        };
        if n as usize >= sent.len() {
            return state.violate(format!("client {receiver:?} received an event never sent"));
        }
        let position = state.received.entry(receiver).or_default().get(&stream).copied();
        let after = match position {
            Some(last) if n <= last => {
                return state.violate(format!(
                    "at most once, in order: client {receiver:?} received {n} after {last} of \
                     stream {stream} (node {origin:?})"
                ));
            }
            Some(last) if *complete => last + 1,
            None if *direct => 0,
            _ => n,
        };
        let may_be_lost = |at: Instant| {
            state.loss_periods.iter().any(|period| {
                period.node.is_none_or(|node| node == origin.0)
                    && period.first_nsp <= receiver.1
                    && period.from <= at
                    && period.to.is_none_or(|to| at <= to)
            })
        };
        let lost = (after..n).find(|n| !may_be_lost(sent[*n as usize]));
        state.received.entry(receiver).or_default().insert(stream, n);
        if let Some(lost) = lost {
            state.violate(format!(
                "exactly once: client {receiver:?} received {n} of stream {stream} without {lost}"
            ));
        }
    }

    /// A client's socket is connected. In a new session it may have missed events, and may get
    /// some again: its node may be behind the node of its former session.
    pub(crate) fn client_connected(&self, receiver: Receiver, recovered: bool) {
        let state = &mut *self.state();
        state.note(format!("client {receiver:?} is connected, recovered: {recovered}"));
        *state.connects.entry(receiver).or_default() += 1;
        let State { received, streams, .. } = state;
        let positions = received.entry(receiver).or_default();
        positions.retain(|stream, _| match &streams[*stream] {
            Stream { volatile: true, .. } => recovered,
            stream => recovered || stream.direct,
        });
    }

    /// A server has connected a socket. Returns the number of the connection.
    pub(crate) fn server_connected(
        &self,
        origin: Origin,
        from: Receiver,
        recovered: bool,
    ) -> usize {
        let state = &mut *self.state();
        state.counts.sessions += 1;
        state.counts.recovered += u64::from(recovered);
        let connection = state.connections.len();
        state.connections.push(None);
        state.note(format!(
            "node {origin:?} connects client {from:?} as {connection}, recovered: {recovered}"
        ));
        connection
    }

    /// A server handles a client's event.
    pub(crate) fn handled(&self, connection: Option<usize>, from: Receiver, n: u32) {
        let state = &mut *self.state();
        state.counts.handled += 1;
        state.note(format!("client {from:?} has sent {n}"));
        let Some(last) = connection.and_then(|number| state.connections.get_mut(number)) else {
            return state.violate(format!("client {from:?}: an event came before its connection"));
        };
        if let Some(before) = last.replace(n)
            && before >= n
        {
            state.violate(format!("order: client {from:?} sent {n} before {before}"));
        }
        if !state.handled.entry(from).or_default().insert(n) {
            state.violate(format!("at most once: {n} of client {from:?} was handled twice"));
        }
    }

    /// A server handles an event that its client sends until it is acked. The client sends the next
    /// one only after that, so each server sees the first attempts in order and without a gap.
    pub(crate) fn handled_retried(&self, connection: Option<usize>, from: Receiver, n: u32) {
        let state = &mut *self.state();
        state.counts.handled += 1;
        state.note(format!("client {from:?} has sent {n}, perhaps again"));
        let Some(last) = connection.and_then(|number| state.connections.get_mut(number)) else {
            return state.violate(format!("client {from:?}: an event came before its connection"));
        };
        if let Some(before) = last.replace(n)
            && before > n
        {
            state.violate(format!("order: client {from:?} sent {n} again after {before}"));
        }
        let handled = state.handled.entry(from).or_default();
        let next = handled.len() as u32;
        handled.insert(n);
        if let Some(limited) = state.limited.get_mut(&from) {
            let attempts = limited.attempts.entry(n).or_default();
            *attempts += 1;
            if *attempts > limited.limit {
                let limit = limited.limit;
                state.violate(format!("client {from:?} sent {n} more than {limit} times"));
            }
        } else if n > next {
            state.violate(format!("at least once: client {from:?} sent {n} without {next}"));
        }
    }

    /// From now on a client sends each event at most so often.
    pub(crate) fn limit_attempts(&self, from: Receiver, limit: u32) {
        self.state().limited.insert(from, Limited { limit, ..Limited::default() });
    }

    /// A client has an ack of an event, or sends it no more.
    pub(crate) fn retries_ended(&self, from: Receiver, n: u32, acked: bool) {
        let state = &mut *self.state();
        state.note(format!("client {from:?} has an ack of {n}: {acked}"));
        let Some(limited) = state.limited.get_mut(&from) else { return };
        let next = limited.ended;
        limited.ended += 1;
        if !acked {
            limited.failed.insert(n);
        }
        if n != next {
            state.violate(format!("order: {n} of client {from:?} ended before {next}"));
        }
    }

    /// Checks that each event of a client has ended, and that servers have handled those that have
    /// not failed.
    pub(crate) fn check_retried(&self, from: Receiver, sent: u32) {
        let state = &mut *self.state();
        let State { handled, limited, .. } = state;
        let (handled, limited) = (handled.entry(from).or_default(), limited.get(&from));
        let is_over = |n: &u32| {
            handled.contains(n) || limited.is_some_and(|limited| limited.failed.contains(n))
        };
        if let Some(n) = (0..sent).find(|n| !is_over(n)) {
            state.violate(format!("at least once: no server has handled {n} of client {from:?}"));
        } else if let Some(limited) = limited
            && limited.ended != sent
        {
            let ended = limited.ended;
            state.violate(format!("{ended} of {sent} events of client {from:?} have ended"));
        }
    }

    /// Returns the number of a node's next event to the other nodes.
    pub(crate) fn next_gossip(&self, from: Origin) -> u32 {
        let state = &mut *self.state();
        let next = state.gossips.entry(from).or_default();
        *next += 1;
        *next
    }

    /// A node handles an event of another one.
    pub(crate) fn gossip(&self, to: Origin, from: Origin, n: u32) {
        let state = &mut *self.state();
        state.note(format!("node {to:?} handles {n} of node {from:?}"));
        let before = state.heard.insert((to, from), n);
        if to == from || before.is_some_and(|before| before >= n) {
            state.violate(format!(
                "at most once, in order: node {to:?} handled {n} of node {from:?} after {before:?}"
            ));
        }
    }

    /// Returns the number of a new sequence of reliable events.
    pub(crate) fn reliable_sequence(&self, receiver: Receiver) -> usize {
        let sequences = &mut self.state().reliable;
        sequences.push(ReliableSequence { receiver, last: None });
        sequences.len() - 1
    }

    /// A client handles a reliable event. It may get an event twice, but only on different
    /// connections.
    pub(crate) fn handled_reliable(&self, receiver: Receiver, sequence: usize, n: u32) {
        let state = &mut *self.state();
        state.counts.received += 1;
        state.note(format!("client {receiver:?} handles {n} of reliable sequence {sequence}"));
        let connection = state.connects.get(&receiver).copied().unwrap_or_default();
        let known = state.reliable.get_mut(sequence).filter(|known| known.receiver == receiver);
        let Some(known) = known else {
            return state.violate(format!(
                "client {receiver:?} received an event of reliable sequence {sequence}, which is \
                 not its own"
            ));
        };
        let before = known.last.replace((n, connection));
        let again = before == Some((n, connection));
        let next = before.map_or(0, |(last, _)| last + 1);
        if again {
            state.violate(format!(
                "at most once per connection: client {receiver:?} handled {n} of reliable sequence \
                 {sequence} twice"
            ));
        } else if n != next && n + 1 != next {
            state.violate(format!(
                "order: client {receiver:?} handled {n} of reliable sequence {sequence} instead of \
                 {next}"
            ));
        }
    }

    /// Returns whether a client has handled a reliable event.
    pub(crate) fn was_reliable_handled(&self, sequence: usize, n: u32) -> bool {
        self.state().reliable[sequence].last.is_some_and(|(last, _)| last >= n)
    }

    pub(crate) fn was_handled(&self, from: Receiver, n: u32) -> bool {
        self.state().handled.get(&from).is_some_and(|handled| handled.contains(&n))
    }

    pub(crate) fn asked(&self) {
        self.state().counts.asked += 1;
    }

    pub(crate) fn answered(&self, acked: bool) {
        let counts = &mut self.state().counts;
        if acked { counts.acked += 1 } else { counts.unacked += 1 }
    }

    /// Notes that the process is about to stand still.
    pub(crate) fn stands_still(&self, time: Duration) {
        let state = &mut *self.state();
        state.note(format!("TROUBLE the process stands still for {time:?}"));
        state.stood_still += time;
    }

    /// Waits for the end of a future, at most for `bound`. The time for which the process stands
    /// still meanwhile does not count: steps that follow each other are late by as much.
    pub(crate) async fn ends_within<T>(
        &self,
        bound: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let (began, before) = (Instant::now(), self.state().stood_still);
        let deadline = || began + bound + (self.state().stood_still - before);
        let mut future = pin!(future);
        loop {
            match timeout_at(deadline(), &mut future).await {
                Ok(value) => return Some(value),
                Err(_) if Instant::now() < deadline() => {}
                Err(_) => return None,
            }
        }
    }

    /// Returns the first stream of a room whose last event a receiver has not received.
    pub(crate) fn missing(
        &self,
        origin: Origin,
        audience: &Audience,
        receiver: Receiver,
    ) -> Option<usize> {
        let state = self.state();
        let id = *state.by_source.get(&(origin, audience.clone()))?;
        let last = state.streams[id].sent.len().checked_sub(1)?;
        let position = state.received.get(&receiver).and_then(|positions| positions.get(&id));
        position.is_none_or(|position| (*position as usize) < last).then_some(id)
    }
}

impl State {
    fn note(&mut self, text: String) {
        let at = self.start.map_or(0, |start| start.elapsed().as_millis());
        let line = format!("{at:>8} ms  {text}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.options.prints {
            println!("{line}");
        }
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn violate(&mut self, text: String) {
        self.note(format!("VIOLATION {text}"));
        self.violation.get_or_insert(text);
    }
}
