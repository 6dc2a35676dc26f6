//! The session and what it is carried by.

mod end;
mod requests;
mod socket;
mod taken;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{
    Frame, Frames, OpenPacket, Transport,
    session::{Clock, CloseReason, Output, SendError, Session},
};
use tokio::time::{Instant, Sleep};

use super::{
    ahead::ReadAhead,
    body::Body,
    config::{EngineConfig, Shared},
    error::EngineError,
    event::{Closed, EngineEvent},
    held::Held,
    lane::Lane,
    state::{End, Socket},
};

/// How often the clocks are compared in a session with nothing to do, so that a sleep of the machine is noticed.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// So many messages may be read before timers and requests are looked at.
const PATIENCE: u8 = 32;

/// An open session. It has no task: whoever holds it polls it. Dropping it closes everything at once.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    session: Session,
    held: Held,
    /// The server has not confirmed the last message yet.
    untaken: bool,
    apart_at: Option<std::time::Instant>,
    get: Lane<Body>,
    /// The body of the GET's response, while its packets are taken.
    body: Option<Body>,
    /// Whether there was a message in it.
    told: bool,
    post: Lane<()>,
    socket: Socket,
    /// The session's next deadline.
    sleep: Pin<Box<Sleep>>,
    armed: bool,
    reading: bool,
    ahead: ReadAhead,
    /// When the messages that are read arrived, about.
    read_at: std::time::Instant,
    /// Counts the looks at the WebSocket.
    unhurried: u8,
    /// Bytes the server takes in one body.
    max_post: usize,
    pinged: bool,
    /// The time of the session.
    clock: Clock,
    /// When the owner wished it to end.
    closing: Option<Instant>,
    /// What failed first.
    error: Option<EngineError>,
    end: End,
}

/// What a session has to tell.
enum Step {
    Opened,
    Event(EngineEvent),
}

impl Engine {
    /// Opens a session; done when the handshake has arrived. May be dropped at any time. How long it may take is for the
    /// caller to say.
    pub(crate) async fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let shared = &config.shared;
        shared.ask_headers().await?;
        let mut failed = EngineError::NoTransport;
        for via in shared.order() {
            let mut engine = Self::start(shared.clone(), via);
            match poll_fn(|cx| engine.poll_step(cx)).await {
                Step::Opened => return Ok(engine),
                Step::Event(EngineEvent::Closed(Closed { reason, error })) => {
                    failed = error.unwrap_or(match reason {
                        CloseReason::ParseError => EngineError::Handshake,
                        reason => EngineError::Closed(reason),
                    });
                    tracing::debug!(target: "engineio::client", transport = via.as_str(), error = %failed, "not opened");
                }
                Step::Event(_) => failed = EngineError::Handshake,
            }
        }
        Err(failed)
    }

    fn start(shared: Arc<Shared>, via: Transport) -> Self {
        let now = Instant::now();
        let (config, revision) = (shared.session.clone(), shared.options.revision);
        let clock = Clock::new(now.into_std(), shared.wall_time());
        let mut engine = Self {
            clock,
            session: Session::client(now.into_std(), config, revision, via),
            held: Held::default(),
            untaken: false,
            apart_at: None,
            get: Lane::new(shared.clone()),
            body: None,
            told: false,
            post: Lane::new(shared.clone()),
            socket: Socket::None,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            armed: false,
            reading: true,
            ahead: ReadAhead::default(),
            read_at: now.into_std(),
            unhurried: 0,
            max_post: usize::MAX,
            pinged: false,
            closing: None,
            error: None,
            end: End::NotYet,
            shared,
        };
        if via == Transport::WebSocket {
            engine.connect_socket();
        }
        engine
    }

    /// Reads, writes, keeps the session alive, upgrades it, and gives the next event. Pending for ever after `Closed`.
    ///
    /// After [`send`](Self::send) and [`close`](Self::close) it has to be polled once more.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<EngineEvent> {
        loop {
            match self.poll_step(cx) {
                Poll::Ready(Step::Opened) => {}
                Poll::Ready(Step::Event(event)) => return Poll::Ready(event),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Queues a run of frames.
    ///
    /// # Errors
    ///
    /// Gives the frames back where the queue is full or the session is closing.
    pub(crate) fn send(&mut self, frames: Frames) -> Result<(), SendError> {
        if !self.held.is_empty() {
            return Err(SendError::Full(frames));
        }
        self.untaken = true;
        self.session.send(frames)
    }

    /// Whether the session is not over, as far as can be known. While the machine slept the session may have outlived its
    /// heartbeat, though the monotonic clock stood still: what is sent then would be lost. Node's client asks this before
    /// it sends as well.
    pub(crate) fn is_alive(&mut self) -> bool {
        if self.compare_clocks() {
            self.session.handle_timeout(self.now());
        }
        !self.session.is_closed()
    }

    /// Whether the machine has slept since the clocks were compared last.
    fn compare_clocks(&mut self) -> bool {
        let slept = self.clock.update(now(), self.shared.wall_time());
        if slept {
            tracing::debug!(target: "engineio::client", "the machine has slept");
        }
        slept
    }

    /// The time of the session.
    fn now(&self) -> std::time::Instant {
        self.clock.now(now())
    }

    /// Whether the server takes frames of this size, and if not, how many bytes it takes: Node's servers end the session
    /// of a client that sends more.
    pub(crate) fn check_size(&self, frames: &Frames) -> Result<(), usize> {
        let polling = self.session.transport() == Transport::Polling;
        let base64 = polling || self.shared.options.force_base64;
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

    /// The largest message that the server takes, in bytes.
    pub(crate) fn max_sent(&self) -> usize {
        self.max_post
    }

    /// Writes what was sent, if that can be done here: whether [`poll_event`](Self::poll_event) need not be polled for it.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_settled() && !self.poll_write(cx) && self.is_settled()
    }

    /// Whether the session goes on over a WebSocket, and nothing that is sent changes it.
    fn is_settled(&self) -> bool {
        self.session.is_open()
            && self.session.transport() == Transport::WebSocket
            && !self.session.is_upgrading()
            && self.held.is_empty()
    }

    /// Whether what is sent now leaves at once.
    pub(crate) fn is_writable(&self) -> bool {
        self.held.is_empty() && self.session.is_writable() && self.socket.is_writable()
    }

    /// Stops giving messages, or goes on. While it gives none, the connection is read a bounded way ahead: pings are answered
    /// and the end of the connection is noticed. If there is more to read than that, the server's pings are not seen, and
    /// the session ends by its heartbeat as it does at the server. Messages that were read come before the end.
    pub(crate) fn set_reading(&mut self, reading: bool) {
        self.reading = reading;
    }

    /// Whether the connection may be read, if so many bytes of a message have arrived.
    fn may_read(&self, arriving: usize) -> bool {
        self.reading || self.ahead.has_room(arriving)
    }

    /// Ends the session: what is queued leaves first, then the goodbye. `Closed` follows, after 30 s (and 2 s for the peer's
    /// goodbye) at most.
    pub(crate) fn close(&mut self) {
        self.closing.get_or_insert_with(Instant::now);
        if self.held.is_empty() {
            self.session.close(self.now(), CloseReason::ForcedClose, false);
        } else {
            self.held.close = true;
        }
    }

    /// When the last message arrived, about.
    pub(crate) fn read_at(&self) -> std::time::Instant {
        self.read_at
    }

    /// The transport in use.
    pub(crate) fn transport(&self) -> Transport {
        self.session.transport()
    }

    /// The session's id.
    pub(crate) fn sid(&self) -> &str {
        self.session.sid()
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if (self.reading || self.session.is_closed())
                && let Some(message) = self.ahead.pop()
            {
                return Poll::Ready(Step::Event(EngineEvent::Message(message)));
            }
            if let Some(closed) = self.poll_end(cx) {
                return closed.map(|closed| Step::Event(EngineEvent::Closed(closed)));
            }
            if std::mem::take(&mut self.pinged) {
                return Poll::Ready(Step::Event(EngineEvent::Ping));
            }
            while let Some(output) = self.session.poll_output() {
                if let Some(step) = self.on_output(output) {
                    return Poll::Ready(step);
                }
            }
            if self.session.is_closed() {
                continue;
            }
            // Who was told something comes back, and the rest is looked at then: a message costs no look at timers and requests.
            let read = self.poll_socket(cx);
            self.unhurried = self.unhurried.wrapping_add(1);
            if read && self.session.has_output() && !self.unhurried.is_multiple_of(PATIENCE) {
                continue;
            }
            // Not lazily: each of them registers whom to wake.
            let moved = read | self.poll_timers(cx) | self.poll_requests(cx) | self.poll_write(cx);
            let moved = moved | self.poll_held(cx);
            if !moved && !self.session.has_output() && !self.pinged {
                return Poll::Pending;
            }
        }
    }

    fn on_output(&mut self, output: Output) -> Option<Step> {
        match output {
            Output::Opened(open) => {
                self.on_open(&open);
                Some(Step::Opened)
            }
            Output::Message(data) if self.reading && self.ahead.is_empty() => {
                Some(Step::Event(EngineEvent::Message(data)))
            }
            Output::Message(data) => {
                self.ahead.push(data);
                None
            }
            Output::ProbeFailed(_) => {
                tracing::debug!(target: "engineio::client", "probe error");
                self.socket = Socket::None;
                None
            }
            Output::Upgraded(via) => {
                tracing::debug!(target: "engineio::client", transport = via.as_str(), "upgraded");
                self.shared.remember_websocket(true);
                self.get.clear();
                self.post.clear();
                Some(Step::Event(EngineEvent::Upgraded(via)))
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
        tracing::debug!(target: "engineio::client", sid, transport = via.as_str(), "opened");
        self.shared.remember_websocket(via == Transport::WebSocket);
        self.max_post = match open.max_payload {
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        if via == Transport::Polling
            && self.shared.options.upgrade
            && self.shared.transports.contains(&Transport::WebSocket)
            && open.upgrades.contains(&Transport::WebSocket)
        {
            self.connect_socket();
        }
    }

    /// Whether a deadline has passed.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.session.poll_timeout() else { return false };
        let due = Instant::from_std(self.clock.monotonic(due));
        // An earlier deadline than the session's does no harm.
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

    /// Remembers what failed first.
    fn failed(&mut self, error: EngineError) {
        self.error.get_or_insert(error);
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
