//! The I/O of a session: its timers, requests and message transport.

mod ahead;
mod backlog;
mod end;
mod requests;
mod socket;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{
    Frame, Frames, OpenPacket, PacketData, Transport,
    session::{Clock, CloseReason, Output, Session},
};
use tokio::time::{Instant, Sleep};

pub(crate) use self::backlog::Order;
use self::{ahead::ReadAhead, backlog::Backlog, end::End, socket::Socket};
use super::{
    config::{EngineConfig, Shared},
    dial::BoxStream,
    error::EngineError,
    http::{Body, Requester},
};
use crate::time::now;

/// How often an idle session compares the clocks, to notice a sleep of the machine.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// How many messages are read before the timers and requests are polled.
const SOCKET_POLLS_PER_ROUND: u8 = 32;

/// An open session. It has no task; its owner polls it. Dropping it closes everything at once.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    session: Session,
    backlog: Backlog,
    /// Whether the server has yet to confirm the last message.
    unconfirmed: bool,
    get: Requester<Body>,
    /// The body of the GET response that is being read.
    body: Option<Body>,
    /// Whether that body contained a message.
    had_message: bool,
    post: Requester<Option<BoxStream>>,
    socket: Socket,
    /// Transports that the session may be upgraded to and that were not probed yet.
    untried: Vec<Transport>,
    /// The timer of the session's next deadline.
    sleep: Pin<Box<Sleep>>,
    armed: bool,
    reading: bool,
    ahead: ReadAhead,
    /// The approximate arrival time of the last data.
    read_at: std::time::Instant,
    /// Whether data has arrived in this turn.
    data_arrived: bool,
    /// Counts the polls of the message transport.
    socket_polls: u8,
    /// The largest request body that the server accepts, in bytes.
    max_post: usize,
    pinged: bool,
    /// The session's clock.
    clock: Clock,
    /// When the owner called `close`.
    closing: Option<Instant>,
    /// The first failure.
    error: Option<EngineError>,
    end: End,
}

/// An event of a session.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// The handshake has arrived. This is the first event, which [`Engine::open`] awaits.
    Opened,
    /// A message has arrived.
    Message(PacketData),
    /// The session has switched to this transport.
    Upgraded(Transport),
    /// The server has sent a ping. The session answers it.
    Ping,
    /// The session has ended. This is the last event.
    Closed(Closed),
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The reason. Its `Display` gives Node's texts.
    pub(crate) reason: CloseReason,
    /// The failure, if there was one.
    pub(crate) error: Option<EngineError>,
}

impl Engine {
    /// Opens a session. Resolves when the handshake has arrived. The future may be dropped at any
    /// time; it has no time limit of its own.
    pub(crate) async fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let shared = &config.shared;
        shared.refresh_headers().await?;
        let mut failed = EngineError::NoTransport;
        let mut order = shared.order().into_iter().peekable();
        while let Some(via) = order.next() {
            let mut engine = Self::start(shared.clone(), via);
            match via {
                Transport::Polling => {}
                Transport::WebSocket => engine.connect_socket(&[via], None),
                // A network that blocks UDP gives no sign of it.
                Transport::WebTransport => {
                    let share = config.timeout.filter(|_| order.peek().is_some());
                    let limit = shared.options.upgrade_timeout;
                    let limit = share.map_or(limit, |timeout| limit.min(timeout / 2));
                    engine.connect_socket(&[via], Some(limit));
                }
            }
            match poll_fn(|cx| engine.poll_event(cx)).await {
                EngineEvent::Opened => return Ok(engine),
                EngineEvent::Closed(Closed { reason, error }) => {
                    failed = error.unwrap_or(match reason {
                        CloseReason::ParseError => EngineError::Handshake,
                        reason => EngineError::Closed(reason),
                    });
                    tracing::debug!(target: "engineio::client", transport = via.as_str(), error = %failed, "a session was not opened");
                }
                _ => failed = EngineError::Handshake,
            }
        }
        Err(failed)
    }

    fn start(shared: Arc<Shared>, via: Transport) -> Self {
        let now = Instant::now();
        let (config, revision) = (shared.session.clone(), shared.options.revision);
        let clock = Clock::new(std::time::Instant::now(), shared.wall_time());
        Self {
            clock,
            session: Session::client(now.into_std(), config, revision, via),
            backlog: Backlog::default(),
            unconfirmed: false,
            get: Requester::new(shared.clone()),
            body: None,
            had_message: false,
            post: Requester::new(shared.clone()),
            socket: Socket::None,
            untried: Vec::new(),
            sleep: Box::pin(tokio::time::sleep_until(now)),
            armed: false,
            reading: true,
            ahead: ReadAhead::default(),
            read_at: now.into_std(),
            data_arrived: false,
            socket_polls: 0,
            max_post: usize::MAX,
            pinged: false,
            closing: None,
            error: None,
            end: End::NotYet,
            shared,
        }
    }

    /// Tells the session that its owner begins to poll it again.
    pub(crate) fn start_turn(&mut self) {
        self.data_arrived = false;
    }

    /// Returns whether the session is still alive. After a sleep of the machine, the session may
    /// have outlived its heartbeat although the monotonic clock stood still. Packets sent then
    /// would be lost. Node's client checks this before sending too. Reading the clocks is slow
    /// compared to a message, and data that has arrived in this turn shows that the server is alive.
    pub(crate) fn is_alive(&mut self) -> bool {
        if !self.data_arrived && self.compare_clocks() {
            self.session.handle_timeout(self.now());
        }
        !self.session.is_closed()
    }

    /// Records that data has arrived.
    fn note_arrival(&mut self) {
        self.read_at = now();
        self.data_arrived = true;
    }

    /// Returns whether the machine has slept since the last comparison of the clocks.
    fn compare_clocks(&mut self) -> bool {
        // The system's monotonic clock and not tokio's, because tokio's may be paused by a test.
        let slept = self.clock.update(std::time::Instant::now(), self.shared.wall_time());
        if slept {
            tracing::debug!(target: "engineio::client", "the machine has slept: checking the connection");
        }
        slept
    }

    /// Returns the time of the session's clock.
    fn now(&self) -> std::time::Instant {
        self.clock.now(now())
    }

    /// Checks that the server accepts frames of this size. The error is the server's limit in
    /// bytes. Node's servers end the session of a client that exceeds it.
    pub(crate) fn check_size(&self, frames: &Frames) -> Result<(), usize> {
        let polling = self.session.transport() == Transport::Polling;
        let websocket = self.session.transport() == Transport::WebSocket;
        let base64 = polling || websocket && self.shared.options.force_base64;
        let len = |frame: &Frame| match base64 {
            true => frame.polling_len(self.session.revision()),
            false => frame.len(),
        };
        if frames.iter().any(|frame| len(frame) > self.max_post) {
            Err(self.max_post)
        } else {
            Ok(())
        }
    }

    /// Returns the largest message that the server accepts, in bytes.
    pub(crate) fn max_sent(&self) -> usize {
        self.max_post
    }

    /// Writes sent frames, if possible without polling the rest of the session. If it returns
    /// false, [`poll_event`](Self::poll_event) must be polled.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_settled() && !self.poll_write(cx) && self.is_settled()
    }

    /// Returns whether the session uses a message transport and sending cannot change its state.
    fn is_settled(&self) -> bool {
        self.session.is_open()
            && self.session.transport() != Transport::Polling
            && !self.session.is_upgrading()
            && !self.has_backlog()
    }

    /// Returns whether a frame sent now is written at once.
    pub(crate) fn is_writable(&self) -> bool {
        !self.has_backlog() && self.session.is_writable() && self.socket.is_writable()
    }

    /// Pauses or resumes messages. While paused, the connection is read ahead up to a limit, so
    /// that pings are answered and its end is noticed. Beyond the limit, the server's pings are not
    /// seen and the session ends by its heartbeat, as it does on the server. Messages that were
    /// read are returned before the end.
    pub(crate) fn set_reading(&mut self, reading: bool) {
        self.reading = reading;
    }

    /// Returns whether the connection may be read while `arriving` bytes of a message are buffered.
    fn may_read(&self, arriving: usize) -> bool {
        self.reading || self.ahead.has_room(arriving)
    }

    /// Returns the approximate arrival time of the last message.
    pub(crate) fn read_at(&self) -> std::time::Instant {
        self.read_at
    }

    /// Returns the transport in use.
    pub(crate) fn transport(&self) -> Transport {
        self.session.transport()
    }

    /// Returns the id of the session.
    pub(crate) fn sid(&self) -> &str {
        self.session.sid()
    }

    /// Reads, writes, keeps the session alive, upgrades it, and returns the next event. After
    /// `Closed` it stays pending forever.
    ///
    /// Poll it once more after each [`send`](Self::send) and [`close`](Self::close).
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<EngineEvent> {
        loop {
            if (self.reading || self.session.is_closed())
                && let Some(message) = self.ahead.pop()
            {
                return Poll::Ready(EngineEvent::Message(message));
            }
            if let Some(closed) = self.poll_end(cx) {
                return closed.map(EngineEvent::Closed);
            }
            if std::mem::take(&mut self.pinged) {
                return Poll::Ready(EngineEvent::Ping);
            }
            while let Some(output) = self.session.poll_output() {
                if let Some(event) = self.on_output(output) {
                    return Poll::Ready(event);
                }
            }
            if self.session.is_closed() {
                continue;
            }
            // After an output the owner polls again, so timers and requests can wait: this makes a
            // message cheap.
            let read = self.poll_socket(cx);
            self.socket_polls = self.socket_polls.wrapping_add(1);
            if read
                && self.session.has_output()
                && !self.socket_polls.is_multiple_of(SOCKET_POLLS_PER_ROUND)
            {
                continue;
            }
            // Not lazily, because each call registers the waker. The timers come after all that is
            // read, because a ping that waited during a sleep keeps the session alive.
            let progressed = read
                | self.poll_post(cx)
                | self.poll_get(cx)
                | self.poll_timers(cx)
                | self.poll_write(cx);
            let progressed = progressed | self.poll_backlog(cx);
            if !progressed && !self.session.has_output() && !self.pinged {
                return Poll::Pending;
            }
        }
    }

    fn on_output(&mut self, output: Output) -> Option<EngineEvent> {
        match output {
            Output::Opened(open) => {
                self.on_open(&open);
                Some(EngineEvent::Opened)
            }
            Output::Message(data) if self.reading && self.ahead.is_empty() => {
                Some(EngineEvent::Message(data))
            }
            Output::Message(data) => {
                self.ahead.push(data);
                None
            }
            Output::ProbeFailed(_) => {
                tracing::debug!(target: "engineio::client", "the probe of an upgrade failed");
                self.socket = Socket::None;
                if self.session.is_open() {
                    self.connect_probe();
                }
                None
            }
            Output::Upgraded(via) => {
                tracing::debug!(target: "engineio::client", transport = via.as_str(), "a session was upgraded");
                self.shared.remember_websocket(via == Transport::WebSocket);
                self.untried = Vec::new();
                self.get.clear();
                self.post.clear();
                Some(EngineEvent::Upgraded(via))
            }
            Output::Closed(reason) => {
                self.on_closed(reason);
                None
            }
            _ => None,
        }
    }

    fn on_open(&mut self, open: &OpenPacket) {
        let via = self.session.transport();
        let sid = open.sid.get(..6).unwrap_or(&open.sid);
        tracing::debug!(target: "engineio::client", sid, transport = via.as_str(), "a session was opened");
        self.shared.remember_websocket(via == Transport::WebSocket);
        self.max_post = match open.max_payload {
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        if via == Transport::Polling && self.shared.options.upgrade {
            self.untried = [Transport::WebTransport, Transport::WebSocket].into();
            let offered =
                |via: &_| self.shared.transports.contains(via) && open.upgrades.contains(via);
            self.untried.retain(offered);
            self.connect_probe();
        }
    }

    /// Polls the session's timer. Returns whether a deadline has passed.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.session.poll_timeout() else { return false };
        let due = Instant::from_std(self.clock.monotonic(due));
        // Firing before the session's deadline is harmless.
        if !self.armed {
            self.sleep.as_mut().reset(due.min(Instant::now() + CLOCK_CHECK));
            self.armed = true;
        } else if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = false;
        self.compare_clocks();
        self.session.handle_timeout(self.now());
        true
    }

    /// Records the first failure.
    fn failed(&mut self, error: EngineError) {
        self.error.get_or_insert(error);
    }
}
