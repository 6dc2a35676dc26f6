//! A client session and a server session joined in memory by delayed requests and a delayed
//! WebSocket. It has a virtual clock and two minimal shells that follow the run-loop contract of
//! the session.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use engineio_parser::{
    Frames, Packet, PacketData, Revision,
    Transport::{Polling, WebSocket},
    session::{CloseReason, Config, Input, Loss, Output, Session, Unsent},
};

/// The byte budget of one request. Its first frame may exceed it.
const BUDGET: usize = 40;

pub(crate) struct World {
    pub(crate) client: End,
    pub(crate) server: End,
    /// The delay of everything sent from now on.
    pub(crate) delay: Duration,
    /// Whether a fault happened that may end the session without either end's request.
    pub(crate) faulty: bool,
    now: Instant,
    events: BinaryHeap<Reverse<Event>>,
    /// The number of events scheduled so far. Events of the same instant happen in this order.
    order: u64,
    /// The number of GETs made so far. Responses to earlier GETs are ignored.
    get: u64,
    get_open: bool,
    post_open: bool,
    socket: Socket,
}

/// One end and what its application has seen.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) sent: Vec<PacketData>,
    pub(crate) received: Vec<PacketData>,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) upgraded: bool,
    /// Whether this end has crashed. It neither sends nor receives.
    pub(crate) crashed: bool,
    /// Whether this end of the WebSocket is open.
    socket: bool,
    /// Server: whether a GET waits.
    get: bool,
}

#[derive(Default)]
struct Socket {
    generation: u64,
    /// The arrival time of the last packet towards each end. Later packets arrive no earlier.
    last_arrival: [Option<Instant>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

struct Event {
    at: Instant,
    order: u64,
    kind: EventKind,
}

enum EventKind {
    Get,
    GetAnswered(u64, Option<Vec<Packet>>),
    GetDropped,
    PostBegins(Vec<Packet>),
    PostEnds(Vec<Packet>),
    PostAnswered(bool),
    SocketOpens(u64),
    SocketCarries(Side, u64, Packet),
    SocketGone(Side, u64, Loss),
}

impl World {
    pub(crate) fn new(revision: Revision, config: Config) -> Self {
        let now = Instant::now();
        let config = Arc::new(config);
        let server = Session::server(now, config.clone(), revision, Polling, "sid".into());
        let client = Session::client(now, config, revision, Polling);
        let mut world = Self {
            client: End::new(client),
            server: End::new(server),
            delay: Duration::ZERO,
            faulty: false,
            now,
            events: BinaryHeap::new(),
            order: 0,
            get: 0,
            get_open: false,
            post_open: false,
            socket: Socket::default(),
        };
        world.pump();
        world.advance(Duration::ZERO);
        assert!(world.client.session.is_open());
        world
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    pub(crate) fn send(&mut self, side: Side, frames: Frames, volatile: bool) {
        let end = self.end(side);
        if end.crashed {
            return;
        }
        let data = frames.iter().map(|frame| frame.to_packet().data).collect::<Vec<_>>();
        let taken = if volatile {
            end.session.send_volatile(frames)
        } else {
            end.session.send(frames).is_ok()
        };
        if taken {
            end.sent.extend(data);
        }
        self.pump();
    }

    pub(crate) fn close(&mut self, side: Side, unsent: Unsent) {
        let now = self.now;
        let end = self.end(side);
        if !end.crashed {
            end.session.close(now, CloseReason::ForcedClose, unsent);
        }
        self.pump();
    }

    /// The client connects a WebSocket for an upgrade.
    pub(crate) fn start_upgrade(&mut self) {
        if self.client.crashed || self.client.socket || self.client.session.is_upgrading() {
            return;
        }
        if self.client.session.handle_input(self.now, Input::ProbeStarted(WebSocket)).is_ok() {
            self.socket =
                Socket { generation: self.socket.generation + 1, last_arrival: [None; 2] };
            self.client.socket = true;
            let at = self.arrival(Side::Server);
            self.schedule(at, EventKind::SocketOpens(self.socket.generation));
        }
        self.pump();
    }

    /// Breaks the WebSocket. Packets in flight are lost.
    pub(crate) fn break_socket(&mut self) {
        if !self.client.socket && !self.server.socket {
            return;
        }
        self.faulty |= self.client.session.transport() == WebSocket;
        let generation = self.socket.generation;
        self.socket.generation += 1;
        let loss = if generation.is_multiple_of(2) { Loss::Failed } else { Loss::Closed };
        for side in [Side::Client, Side::Server] {
            if std::mem::take(&mut self.end(side).socket) {
                self.feed(side, Input::Lost(WebSocket, loss));
            }
        }
        self.pump();
    }

    /// Breaks the connection of the open GET.
    pub(crate) fn abort_get(&mut self) {
        if !std::mem::take(&mut self.get_open) {
            return;
        }
        self.faulty = true;
        let at = self.now + self.delay;
        self.schedule(at, EventKind::GetDropped);
        self.feed(Side::Client, Input::PollAborted);
        self.get += 1;
        self.pump();
    }

    pub(crate) fn crash(&mut self, side: Side) {
        self.end(side).crashed = true;
        self.faulty = true;
    }

    /// Lets time pass and processes all events and deadlines in that time.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        for steps in 0.. {
            assert!(steps < 100_000, "the world never comes to rest");
            let event = self.events.peek().map(|event| event.0.at);
            let timers = [&self.client, &self.server]
                .into_iter()
                .filter(|end| !end.crashed)
                .filter_map(|end| end.session.poll_timeout());
            let Some(at) = timers.chain(event).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            if event == Some(at)
                && let Some(Reverse(event)) = self.events.pop()
            {
                self.process(event.kind);
            }
            for end in [&mut self.client, &mut self.server] {
                if !end.crashed {
                    end.session.handle_timeout(self.now);
                }
            }
            self.pump();
        }
    }

    fn process(&mut self, kind: EventKind) {
        let now = self.now;
        match kind {
            EventKind::Get if !self.server.crashed => {
                if self.server.session.handle_input(now, Input::PollStarted).is_ok() {
                    self.server.get = true;
                } else {
                    self.answer_get(None);
                }
            }
            EventKind::GetDropped if std::mem::take(&mut self.server.get) => {
                self.feed(Side::Server, Input::PollAborted);
            }
            EventKind::GetAnswered(get, packets) if !self.client.crashed && get == self.get => {
                self.get_open = false;
                let finished = packets.is_some();
                for packet in packets.into_iter().flatten() {
                    self.feed(Side::Client, Input::Packet(Polling, packet));
                }
                let ended = if finished { Input::PollFinished } else { Input::PollAborted };
                self.feed(Side::Client, ended);
            }
            EventKind::PostBegins(packets) if !self.server.crashed => {
                let at = now + self.delay;
                match self.server.session.handle_input(now, Input::PushStarted) {
                    Ok(()) => self.schedule(at, EventKind::PostEnds(packets)),
                    Err(_) => self.schedule(at, EventKind::PostAnswered(false)),
                }
            }
            EventKind::PostEnds(packets) if !self.server.crashed => {
                for packet in packets {
                    self.feed(Side::Server, Input::Packet(Polling, packet));
                }
                self.feed(Side::Server, Input::PushFinished);
                self.schedule(now + self.delay, EventKind::PostAnswered(true));
            }
            EventKind::PostAnswered(accepted) if !self.client.crashed => {
                self.post_open = false;
                let ended = if accepted { Input::PushFinished } else { Input::PushAborted };
                self.feed(Side::Client, ended);
            }
            EventKind::SocketOpens(generation)
                if !self.server.crashed && generation == self.socket.generation =>
            {
                self.server.socket = true;
                let probe = Input::ProbeStarted(WebSocket);
                if self.server.session.handle_input(now, probe).is_err() {
                    self.close_socket(Side::Server);
                }
            }
            EventKind::SocketCarries(to, generation, packet)
                if generation == self.socket.generation && self.end(to).socket =>
            {
                self.feed(to, Input::Packet(WebSocket, packet));
            }
            EventKind::SocketGone(to, generation, loss)
                if generation == self.socket.generation
                    && std::mem::take(&mut self.end(to).socket) =>
            {
                self.feed(to, Input::Lost(WebSocket, loss));
            }
            _ => {}
        }
    }

    fn feed(&mut self, side: Side, input: Input) {
        let now = self.now;
        let end = self.end(side);
        if !end.crashed {
            assert_eq!(end.session.handle_input(now, input), Ok(()), "{side:?}");
        }
    }

    /// Lets both shells do everything that they can do now.
    fn pump(&mut self) {
        for steps in 0.. {
            assert!(steps < 100, "the shells never come to rest");
            let before = self.events.len();
            if !self.client.crashed {
                self.pump_client();
                self.pump_end(Side::Client);
            }
            if !self.server.crashed {
                self.pump_server();
                self.pump_end(Side::Server);
            }
            if self.events.len() == before {
                return;
            }
        }
    }

    fn pump_client(&mut self) {
        let session = &mut self.client.session;
        if !self.post_open
            && session.has_transmit(Polling)
            && session.handle_input(self.now, Input::PushStarted).is_ok()
        {
            let packets = self.client.collect();
            assert!(!packets.is_empty());
            self.post_open = true;
            self.schedule(self.now + self.delay, EventKind::PostBegins(packets));
        }
        if !self.get_open && self.client.session.handle_input(self.now, Input::PollStarted).is_ok()
        {
            self.get_open = true;
            self.schedule(self.now + self.delay, EventKind::Get);
        }
        // An aborted GET would end the server's session before it has read the last POST.
        if self.client.session.is_closed() && !self.post_open && std::mem::take(&mut self.get_open)
        {
            self.schedule(self.now + self.delay, EventKind::GetDropped);
            self.get += 1;
        }
    }

    fn pump_server(&mut self) {
        if self.server.get {
            if self.server.session.has_transmit(Polling) {
                let packets = self.server.collect();
                assert!(!packets.is_empty());
                self.feed(Side::Server, Input::PollFinished);
                self.answer_get(Some(packets));
            } else if self.server.session.is_closed() {
                self.answer_get(None);
            }
        }
    }

    fn pump_end(&mut self, side: Side) {
        let other = side.other();
        while self.end(side).socket
            && let Some(frame) = self.end(side).session.poll_transmit(WebSocket, usize::MAX)
        {
            let at = self.arrival(other);
            let generation = self.socket.generation;
            self.schedule(at, EventKind::SocketCarries(other, generation, frame.to_packet()));
        }
        while let Some(output) = self.end(side).session.poll_output() {
            let end = self.end(side);
            assert_eq!(end.closed, None, "nothing follows the end: {output:?}");
            match output {
                Output::Message(data) => end.received.push(data),
                Output::Closed(reason) => end.closed = Some(reason),
                Output::Upgraded(_) => end.upgraded = true,
                Output::ProbeFailed(_) => self.close_socket(side),
                _ => {}
            }
        }
        if self.end(side).session.is_closed() {
            self.close_socket(side);
        }
    }

    fn answer_get(&mut self, packets: Option<Vec<Packet>>) {
        self.server.get = false;
        self.schedule(self.now + self.delay, EventKind::GetAnswered(self.get, packets));
    }

    fn close_socket(&mut self, side: Side) {
        if std::mem::take(&mut self.end(side).socket) {
            let at = self.arrival(side.other());
            self.schedule(
                at,
                EventKind::SocketGone(side.other(), self.socket.generation, Loss::Closed),
            );
        }
    }

    /// The time at which a packet sent now on the WebSocket reaches this end.
    fn arrival(&mut self, to: Side) -> Instant {
        let last = &mut self.socket.last_arrival[to as usize];
        let at = (self.now + self.delay).max(last.unwrap_or(self.now));
        *last = Some(at);
        at
    }

    fn schedule(&mut self, at: Instant, kind: EventKind) {
        let order = self.order;
        self.order += 1;
        self.events.push(Reverse(Event { at, order, kind }));
    }
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            sent: Vec::new(),
            received: Vec::new(),
            closed: None,
            upgraded: false,
            crashed: false,
            socket: false,
            get: false,
        }
    }

    /// The packets of one request.
    fn collect(&mut self) -> Vec<Packet> {
        let mut left = BUDGET;
        let mut packets = Vec::new();
        while let Some(frame) = self.session.poll_transmit(Polling, left) {
            let len = frame.polling_len(self.session.revision());
            assert!(packets.is_empty() || len <= left, "the budget holds");
            left = left.saturating_sub(len);
            packets.push(frame.to_packet());
        }
        packets
    }
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
