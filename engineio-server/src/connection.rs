//! The driver of one session.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use engineio_parser::{
    PacketData, Transport,
    session::{CloseReason, Input, Loss, Output, Outputs, Reading, SendError, Unsent},
};
use tokio::time::Sleep;

use crate::{
    config::TurnLimits,
    reading::ReadingMode,
    registry::ActiveGuard,
    shared::{Handle, Message, Shared, now, wake},
    stats::saturated,
    transport::MessageTransport,
    turn::Turn,
};

/// How often to check a connection that is too full to wake the task when its peer closes it.
const CLOSED_CHECK_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// The buffer for the packets of one read, which all connections of a thread share.
    static INPUTS: Cell<Vec<Input>> = const { Cell::new(Vec::new()) };
}

/// A larger buffer for packets is not kept for the next read.
const RETAINED_INPUTS: usize = 256;

/// An event of a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message arrived.
    Message(PacketData),
    /// The session switched to another transport. No message was lost or reordered.
    Upgraded(Transport),
    /// The session ended. No event follows.
    Closed(CloseReason),
}

/// One session. The task that polls it drives it.
///
/// Reading, writing, the heartbeat and the upgrade happen inside [`recv`](Self::recv),
/// [`event`](Self::event) or [`poll_event`](Self::poll_event). Keep calling one of them as long as
/// the session should live. Dropping the connection closes the session at once ("forced close").
///
/// An application that also sends messages on its own initiative passes a [`Handle`] to another
/// task, or waits for both in a `select!`:
///
/// ```
/// use engineio_server::{Connection, Event};
/// use tokio::sync::broadcast;
///
/// async fn session(mut connection: Connection, mut news: broadcast::Receiver<String>) {
///     loop {
///         tokio::select! {
///             event = connection.event() => match event {
///                 Event::Message(data) => println!("{data:?}"),
///                 Event::Closed(reason) => return println!("closed: {reason}"),
///                 _ => {}
///             },
///             Ok(text) = news.recv() => {
///                 if connection.send(text).is_err() {
///                     return; // the client reads too slowly
///                 }
///             }
///         }
///     }
/// }
/// ```
pub struct Connection {
    handle: Handle,
    registry: ActiveGuard,
    /// Boxed, because most sessions have at most one of the two.
    transport: Option<Box<MessageTransport>>,
    probe: Option<Box<MessageTransport>>,
    /// The WebSocket that WebTransport has replaced. Nothing is read from `transport` before its
    /// end.
    former: Option<Box<MessageTransport>>,
    /// Fires at the earliest deadline known when it was last set. It is not moved when that
    /// deadline moves back, so that messages need not touch the timer. When it fires, it is set to
    /// the current deadline.
    sleep: Pin<Box<Sleep>>,
    /// The deadline for which `sleep` is set. `None` after it has fired.
    armed: Option<Instant>,
    /// Whether the deadlines have to be checked before the next event. Otherwise that is done at
    /// the end of a turn, because it takes as long as a small message.
    may_be_late: bool,
    reading: ReadingMode,
    /// A transport did not accept everything at the last write.
    blocked: bool,
    turn: Turn,
    /// Outputs that were taken from the session together, because its lock takes as long as a small
    /// message.
    taken: Outputs,
    closed: Option<CloseReason>,
    /// The values that the statistics have of this session.
    reported: Buffered,
}

/// Bytes of a session outside of its queue.
#[derive(Debug, Default)]
struct Buffered {
    unwritten: u32,
    unread: u32,
}

impl Connection {
    pub(crate) fn new(
        registry: ActiveGuard,
        shared: Arc<Shared>,
        transport: Option<Box<MessageTransport>>,
    ) -> Self {
        let turn = Turn::new(&registry.config.turn);
        shared.lock().session.pack(transport.as_deref().is_some_and(MessageTransport::packs));
        Self {
            handle: Handle(shared),
            registry,
            transport,
            probe: None,
            former: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            may_be_late: false,
            reading: ReadingMode::default(),
            blocked: false,
            turn,
            taken: Outputs::default(),
            closed: None,
            reported: Buffered::default(),
        }
    }

    /// Writes the open packet, and before it the response of the handshake if the listener has held
    /// it back. The application may wait for something else before it drives the session.
    pub(crate) async fn write_open_packet(&mut self) {
        if let Some(transport) = &mut self.transport {
            self.handle.0.lock().drain(transport);
        }
        poll_fn(|cx| {
            self.flush(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Receives the next message.
    ///
    /// Cancel-safe: no message is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns the close reason if the session has ended.
    pub async fn recv(&mut self) -> Result<PacketData, CloseReason> {
        loop {
            match self.event().await {
                Event::Message(data) => return Ok(data),
                Event::Closed(reason) => return Err(reason),
                Event::Upgraded(_) => {}
            }
        }
    }

    /// Receives the next event. After [`Event::Closed`], every call returns it again. Cancel-safe.
    pub async fn event(&mut self) -> Event {
        // The application may have been busy for a while since the last event.
        self.may_be_late = true;
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Queues a message. See [`Handle::send`].
    ///
    /// # Errors
    ///
    /// Returns the message if the queue is full or the session is closed.
    pub fn send(&self, data: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send(data)
    }

    /// Returns a handle to this session, for use in other tasks.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Pauses the reading of messages, as backpressure to the client, until
    /// [`resume_reading`](Self::resume_reading) is called. While reading is paused, no message is
    /// decoded. Received bytes stay in the kernel and in a buffer of at most 64 KiB per WebSocket
    /// or WebTransport session. A polling client can complete at most one POST. A pending upgrade
    /// continues, because its packets carry no messages.
    ///
    /// Writing and pings continue, and the session still ends if the client disconnects or does not
    /// reply to a ping. Once the buffer is full, the server can no longer see pongs. The session
    /// then ends with "ping timeout" after [`pause_timeout`](crate::EngineConfig::pause_timeout).
    ///
    /// Reading also pauses on its own while more than half of the outgoing queue is full.
    ///
    /// ```
    /// use engineio_server::{Connection, PacketData};
    /// use tokio::sync::mpsc::{Sender, error::TrySendError};
    ///
    /// /// Passes messages to a worker, and reads no more of them while the worker is busy.
    /// async fn session(mut connection: Connection, worker: Sender<PacketData>) {
    ///     while let Ok(message) = connection.recv().await {
    ///         if let Err(TrySendError::Full(message)) = worker.try_send(message) {
    ///             connection.pause_reading();
    ///             tokio::select! {
    ///                 sent = worker.send(message) => if sent.is_err() { return },
    ///                 Err(_) = connection.recv() => return, // the session has ended
    ///             }
    ///             connection.resume_reading();
    ///         }
    ///     }
    /// }
    /// ```
    pub fn pause_reading(&mut self) {
        self.set_reading(false);
    }

    /// Resumes the reading of messages after [`pause_reading`](Self::pause_reading).
    pub fn resume_reading(&mut self) {
        self.set_reading(true);
    }

    fn set_reading(&mut self, wanted: bool) {
        if self.reading.wanted != wanted {
            self.reading.wanted = wanted;
            self.reading.report(&mut self.handle.0.lock().session);
        }
    }

    /// Drives the session until the next event, for hand-written futures. Async code uses
    /// [`event`](Self::event).
    ///
    /// Also returns `Pending` when the turn has used up its limits
    /// ([`EngineConfig::turn`](crate::EngineConfig::turn)). The task is then woken after the
    /// runtime has polled other tasks. Deadlines are checked at the end of a turn.
    #[inline]
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let delivers = !self.may_be_late
            && self.reading.is_open()
            && !self.turn.is_out_of_messages()
            && !self.handle.0.crowded.load(Relaxed);
        // Most messages were taken from the session together with an earlier one.
        if delivers && let Some(data) = self.taken.pop_message() {
            self.turn.message(self.registry.config.turn.time);
            return Poll::Ready(Event::Message(data));
        }
        self.drive(cx)
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(reason) = self.closed {
            return Poll::Ready(Event::Closed(reason));
        }
        if mem::take(&mut self.may_be_late)
            && self.armed.is_some()
            && self.sleep.as_mut().poll(cx).is_ready()
        {
            self.armed = None;
            self.handle_deadlines(cx);
        }
        loop {
            if let Some(event) = self.take_output() {
                if let Event::Message(_) = event {
                    self.turn.message(self.registry.config.turn.time);
                }
                return Poll::Ready(event);
            }
            self.flush(cx);
            if self.turn.is_over() {
                self.yield_turn(cx);
                return Poll::Pending;
            }
            self.turn.read();
            if self.read(cx) {
                continue;
            }
            if self.prepare_to_wait(cx) {
                self.report_buffered();
                self.turn = Turn::new(&self.registry.config.turn);
                return Poll::Pending;
            }
        }
    }

    /// Reports the bytes in the transports to the statistics.
    fn report_buffered(&mut self) {
        let (mut unwritten, mut unread) = (0, 0);
        let mut add = |transport: &Option<Box<MessageTransport>>| {
            if let Some(transport) = transport {
                unwritten += transport.unwritten();
                unread += transport.unread();
            }
        };
        // A loop over the three takes several times as long.
        add(&self.transport);
        add(&self.probe);
        add(&self.former);
        let buffered = Buffered { unwritten: saturated(unwritten), unread: saturated(unread) };
        let counters = &self.registry.counters;
        counters.unwritten_bytes.change(self.reported.unwritten, buffered.unwritten);
        counters.unread_bytes.change(self.reported.unread, buffered.unread);
        self.reported = buffered;
    }

    /// Ends the turn and yields to the runtime's other tasks.
    fn yield_turn(&mut self, cx: &mut Context<'_>) {
        let starved = self.turn.is_starved();
        self.turn = Turn::new(&self.registry.config.turn);
        if starved {
            // Counts towards the next turn, which compression may use up before it reads.
            self.turn.read();
            self.read(cx);
        }
        // A busy connection never waits, so its timer may be set too late.
        self.handle_deadlines(cx);
        let _ = pin!(tokio::task::yield_now()).poll(cx);
    }

    /// Processes the deadlines that have passed. Looks at what has arrived first: a client that has
    /// sent something is not silent, however late the application is.
    fn handle_deadlines(&mut self, cx: &mut Context<'_>) {
        let late = {
            let state = self.handle.0.lock();
            if state.session.poll_timeout().is_none_or(|timeout| timeout > now()) {
                return;
            }
            !self.taken.is_empty() || state.session.has_output() || state.undelivered
        };
        if late && self.reading.is_open() {
            self.listen(cx);
        } else {
            // The former turn may be over, and then nothing would be read.
            self.turn = Turn::new(&self.registry.config.turn);
            self.read(cx);
        }
        self.handle_timeout(cx);
    }

    /// Processes the deadlines that have passed, after everything was read.
    fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.former.is_some() && self.reading.is_open() {
            self.listen(cx);
        }
        self.handle.0.lock().session.handle_timeout(now());
    }

    /// Excuses the silence of a client that has sent something which is not decoded yet, because
    /// the application has not handled the former messages, or because a former transport is read
    /// to its end first. Decodes nothing, so that no more messages wait for the application.
    fn listen(&mut self, cx: &mut Context<'_>) {
        let transports = [&mut self.transport, &mut self.former];
        let arrived = transports.into_iter().flatten().any(|it| it.poll_arrived(cx));
        // A POST that waits may contain the pong.
        let push_waits = || {
            let state = self.handle.0.lock();
            state.undelivered && state.waiting.as_ref().is_some_and(|it| it.push.is_some())
        };
        if arrived || push_waits() {
            self.excuse_silence();
        }
    }

    /// Records that the client has sent something else than a pong, which may be on its way.
    fn excuse_silence(&self) {
        let (mut state, now) = (self.handle.0.lock(), now());
        let session = &mut state.session;
        session.set_reading(now, Reading::Watched);
        session.heard(now);
        session.set_reading(now, self.reading.reported());
    }

    /// Takes the next event from the session and handles outputs that are not events. If there is
    /// none, moves frames from the session to the transports, as far as these accept them.
    fn take_output(&mut self) -> Option<Event> {
        loop {
            let mut state = self.handle.0.lock();
            state.session.restore_outputs(mem::take(&mut self.taken));
            // The task is awake: it must not be woken by what it sends itself.
            state.driver = None;
            self.handle.0.crowded.store(!state.session.has_room(), Relaxed);
            let reading = self.reading.report(&mut state.session);
            let closed = state.session.is_closed();
            // While reading is paused, messages stay in the session, unless it has ended.
            let output = if reading == Reading::Open || closed {
                match self.turn.is_out_of_messages() {
                    true => None,
                    false => state.session.poll_output(),
                }
            } else {
                state.session.poll_control_output()
            };
            match output {
                Some(Output::Message(data)) => {
                    self.taken = state.session.take_outputs();
                    return Some(Event::Message(data));
                }
                Some(Output::Upgraded(transport)) => {
                    self.registry.counters.upgraded.one();
                    let packs = self.probe.as_deref().is_some_and(MessageTransport::packs);
                    state.session.pack(packs);
                    let poll = state.poll_to_wake();
                    self.former = mem::replace(&mut self.transport, self.probe.take());
                    if let Some(former) = &mut self.former {
                        // The rest of a run.
                        state.drain(former);
                    }
                    let ended = state.session.former_transport().is_none();
                    drop(state);
                    wake(poll);
                    if let Some(former) = &mut self.former {
                        former.start_close();
                    }
                    if ended {
                        self.end_former();
                    }
                    return Some(Event::Upgraded(transport));
                }
                Some(Output::ProbeFailed(_)) => {
                    self.registry.counters.probes_failed.one();
                    // If the session is upgrading again, `arriving` is the next probe, not the
                    // failed one.
                    let arriving =
                        if state.session.is_upgrading() { None } else { state.arriving.take() };
                    drop(state);
                    for probe in self.probe.take().into_iter().chain(arriving) {
                        probe.end(self.registry.config.linger, self.registry.clone());
                    }
                }
                Some(Output::Closed(reason)) => {
                    drop(state);
                    self.finish(reason);
                    return Some(Event::Closed(reason));
                }
                Some(_) => {}
                None => {
                    let delivered = (reading == Reading::Open || closed)
                        && !self.turn.is_out_of_messages()
                        && mem::take(&mut state.undelivered);
                    if self.probe.is_none() {
                        self.probe = state.arriving.take();
                    }
                    state.fill(&mut self.transport);
                    // Before the upgrade, only the frames of its exchange go to the probe, which
                    // then becomes the transport.
                    state.fill(&mut self.probe);
                    if state.waiting.is_some() {
                        let push = if delivered { state.push_to_wake() } else { None };
                        let (poll, ready) = (state.poll_to_wake(), state.ready_to_wake());
                        drop(state);
                        wake(push);
                        wake(poll);
                        ready.into_iter().for_each(Waker::wake);
                    }
                    return None;
                }
            }
        }
    }

    /// Writes to the transports until they accept no more.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let was_blocked = mem::take(&mut self.blocked);
        let mut flush = |transport: &mut MessageTransport| {
            let before = transport.unwritten();
            match transport.poll_flush(cx, &mut self.turn) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    let lost = Input::Lost(transport.kind(), Loss::Failed);
                    let _ = self.handle.0.lock().session.handle_input(now(), lost);
                }
                Poll::Pending => self.blocked = true,
            }
            // The kernel accepts data again, so the client reads.
            if was_blocked && !self.reading.is_open() && transport.unwritten() < before {
                self.handle.0.lock().session.heard(now());
            }
        };
        if let Some(transport) = &mut self.transport {
            flush(transport);
        }
        if self.probe.is_some() || self.former.is_some() {
            let others = [&mut self.probe, &mut self.former];
            others.into_iter().flatten().for_each(|transport| flush(transport));
        }
    }

    /// Reads once from the transport, or from the former one until its end, and from the probe.
    /// Returns whether one had data. Only transports without data wake the task later.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.reading.is_open() {
            return self.watch(cx);
        }
        self.reading.undecoded_full = false;
        let mut ready = false;
        let mut inputs = INPUTS.take();
        if let Some(transport) = self.former.as_mut().or(self.transport.as_mut()) {
            let refused = &self.registry.counters.refused;
            ready = transport.poll_read(cx, &mut inputs, &mut self.turn, refused).is_ready();
        }
        if !inputs.is_empty() {
            let now = now();
            let mut state = self.handle.0.lock();
            for input in inputs.drain(..) {
                // After a violation the session or the probe is closed, which its outputs report.
                let _ = state.session.handle_input(now, input);
            }
            let ended = self.former.is_some() && state.session.former_transport().is_none();
            drop(state);
            if ended {
                self.end_former();
            }
        }
        if inputs.capacity() <= RETAINED_INPUTS {
            INPUTS.set(inputs);
        }
        // The pong follows on the transport that is not read yet.
        if ready && self.former.is_some() {
            self.excuse_silence();
        }
        self.probe.is_some() && self.read_probe(cx) || ready
    }

    fn end_former(&mut self) {
        if let Some(former) = self.former.take() {
            former.end(self.registry.config.linger, self.registry.clone());
        }
    }

    /// Checks whether the client is still connected, without decoding its messages. Returns whether
    /// anything changed.
    fn watch(&mut self, cx: &mut Context<'_>) -> bool {
        if self.probe.is_some() && self.read_probe(cx) {
            return true;
        }
        let (mut heard, mut full) = (false, false);
        let mut lost = None;
        if let Some(transport) = &mut self.transport {
            let status = transport.poll_watch(cx);
            (heard, full) = (status.heard, status.buffer_full);
            lost = status.lost.map(|loss| Input::Lost(transport.kind(), loss));
        }
        let changed =
            mem::replace(&mut self.reading.undecoded_full, full) != full || lost.is_some();
        if heard || lost.is_some() {
            let now = now();
            let mut state = self.handle.0.lock();
            // Data from a client that does not read is not a sign of life: it cannot answer pings.
            if heard && !self.blocked {
                state.session.heard(now);
            }
            if let Some(lost) = lost {
                let _ = state.session.handle_input(now, lost);
            }
        }
        changed
    }

    /// Decodes the next packet of a probe. Returns whether there was data.
    ///
    /// A client whose probe was answered sends no further GET, so a full queue can only leave after
    /// the client's upgrade packet. Probes are therefore read even while messages are not. Packets
    /// of a probe carry no messages: any other fails it. What follows the upgrade packet stays
    /// undecoded, because messages on a former transport precede it.
    fn read_probe(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(probe) = &mut self.probe else { return false };
        if !self.handle.0.lock().session.is_upgrading() {
            return false;
        }
        let mut one = Turn::new(&TurnLimits { packets: 1, ..self.registry.config.turn });
        let mut inputs = Vec::new();
        let refused = &self.registry.counters.refused;
        if probe.poll_read(cx, &mut inputs, &mut one, refused).is_pending() {
            return false;
        }
        // A flood of control frames ends the turn.
        self.turn.packet();
        let now = now();
        let mut state = self.handle.0.lock();
        for input in inputs {
            // After a violation the probe is closed, which the session's outputs report.
            let _ = state.session.handle_input(now, input);
        }
        true
    }

    /// Registers the waker and the timer. Returns `false` if there is something to do first.
    fn prepare_to_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let timeout = {
            let mut state = self.handle.0.lock();
            let session = &state.session;
            let transmits = |transport: &Option<Box<MessageTransport>>| {
                let transport = transport.as_deref();
                transport.is_some_and(|it| it.is_idle() && session.has_transmit(it.kind()))
            };
            let reading = self.reading.of(session);
            let output = session.has_output() && (reading == Reading::Open || session.is_closed());
            if transmits(&self.transport)
                || transmits(&self.probe)
                || output
                || reading != self.reading.reported()
                || self.probe.is_none() && state.arriving.is_some()
            {
                return false;
            }
            let timeout = session.poll_timeout();
            state.driver = Some(cx.waker().clone());
            timeout
        };
        let timeout = if self.reading.undecoded_full {
            let closed_check = now() + CLOSED_CHECK_INTERVAL;
            Some(timeout.map_or(closed_check, |timeout| timeout.min(closed_check)))
        } else {
            timeout
        };
        let Some(timeout) = timeout else { return true };
        if self.armed.is_none_or(|armed| timeout < armed) {
            self.armed = Some(timeout);
            self.sleep.as_mut().reset(timeout.into());
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            self.armed = None;
            self.handle_timeout(cx);
            return false;
        }
        true
    }

    /// Closes the transports of a session that has ended.
    fn finish(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        self.registry.remove(self.handle.sid());
        self.registry.counters.closed(reason);
        tracing::debug!(target: "engineio::session", %reason, "a session was closed");
        // Handles may outlive the session, but it no longer counts for its address.
        self.handle.authenticated();
        let (arriving, wakers) = {
            let mut state = self.handle.0.lock();
            if let Some(transport) = &mut self.transport {
                state.drain(transport);
            }
            let requests = [state.poll_to_wake(), state.push_to_wake()];
            let ready = state.waiting.take().map(|waiting| waiting.ready).into_iter().flatten();
            self.registry.counters.add_traffic(state.session.take_traffic());
            (state.arriving.take(), ready.chain(requests.into_iter().flatten()))
        };
        wakers.for_each(Waker::wake);
        let transports = [self.transport.take(), self.probe.take(), self.former.take(), arriving];
        for transport in transports.into_iter().flatten() {
            transport.end(self.registry.config.linger, self.registry.clone());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.closed.is_none() {
            self.handle.close(Unsent::Discard);
            self.finish(CloseReason::ForcedClose);
        }
        let counters = &self.registry.counters;
        counters.unwritten_bytes.change(self.reported.unwritten, 0);
        counters.unread_bytes.change(self.reported.unread, 0);
    }
}
