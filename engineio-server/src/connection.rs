//! The driver of one session.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use engineio_parser::{
    Data, Transport,
    session::{CloseReason, Input, Output, Reading, SendError, Session},
};
use tokio::time::Sleep;

use crate::{
    registry::Busy,
    shared::{Handle, Message, Shared, now, wake},
    transport::websocket::WebSocket,
    turn::Turn,
};

/// After how long a connection is looked at again whose end cannot wake its task.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message arrived.
    Message(Data),
    /// The session moved to another transport; nothing was lost or reordered.
    Upgraded(Transport),
    /// The session is over. Nothing follows.
    Closed(CloseReason),
}

/// One session, driven by whoever polls it.
///
/// Reading, writing, the heartbeat and the upgrade happen inside [`recv`](Self::recv) (or [`event`](Self::event), or
/// [`poll_event`](Self::poll_event)), so it must be polled for as long as the session shall live. Dropping the
/// connection closes the session at once ("forced close").
///
/// An application that has messages of its own to send gives a [`Handle`] away, or waits for both:
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
///                     return; // it reads too slowly
///                 }
///             }
///         }
///     }
/// }
/// ```
pub struct Connection {
    handle: Handle,
    registry: Busy,
    /// Boxed, as most sessions have one of them at most.
    websocket: Option<Box<WebSocket>>,
    probe: Option<Box<WebSocket>>,
    /// Set to the earliest deadline that was known when it was last set. Later deadlines are looked at when it
    /// fires, so that no message has to touch it.
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// Whether the application takes messages.
    reading: bool,
    /// What the session was last told about that.
    seen: Reading,
    /// More has arrived on a transport that is not read than can be looked at.
    full: bool,
    /// A transport could not take everything when it was last written to.
    blocked: bool,
    turn: Turn,
    closed: Option<CloseReason>,
}

impl Connection {
    pub(crate) fn new(
        registry: Busy,
        shared: Arc<Shared>,
        websocket: Option<Box<WebSocket>>,
    ) -> Self {
        let turn = Turn::new(&registry.config.turn);
        Self {
            handle: Handle(shared),
            registry,
            websocket,
            probe: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            reading: true,
            seen: Reading::Open,
            full: false,
            blocked: false,
            turn,
            closed: None,
        }
    }

    /// The next message.
    ///
    /// Cancel-safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// The reason why the session is over.
    pub async fn recv(&mut self) -> Result<Data, CloseReason> {
        loop {
            match self.event().await {
                Event::Message(data) => return Ok(data),
                Event::Closed(reason) => return Err(reason),
                Event::Upgraded(_) => {}
            }
        }
    }

    /// The next event. After [`Event::Closed`] it is returned again and again. Cancel-safe.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// Gives the message back where the queue is full or the session closed.
    pub fn send(&self, data: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send(data)
    }

    /// A handle that reaches this session from anywhere.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops or resumes reading: backpressure towards the client. While stopped, messages wait in the kernel and, as they
    /// came, in 64 KiB of this connection; nothing is decoded. Of a polling client one POST is taken in at most, and an
    /// upgrade comes no further (it may time out, and the session goes on polling).
    ///
    /// Writing and the pings go on. The client is still watched: its end closes the session, and so does its silence. If
    /// more has arrived than is looked at, its pongs cannot be seen; then it is believed to be there for
    /// [`pause_timeout`](crate::EngineConfig::pause_timeout).
    ///
    /// Reading also stops by itself while more than half of the outgoing queue is full, until the client has read enough.
    pub fn set_reading(&mut self, reading: bool) {
        if self.reading != reading {
            self.reading = reading;
            let shared = self.handle.0.clone();
            self.tell_reading(&mut shared.lock().session);
        }
    }

    /// Drives the session as far as it goes without waiting, up to the next event. For those who write futures by hand;
    /// [`event`](Self::event) is the same for others.
    ///
    /// Returns `Pending` as well when the turn is over ([`EngineConfig::turn`](crate::EngineConfig::turn)); the task is
    /// woken after the runtime has looked after others.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(reason) = self.closed {
            return Poll::Ready(Event::Closed(reason));
        }
        if self.armed.is_some() && self.sleep.as_mut().poll(cx).is_ready() {
            self.armed = None;
            // What has arrived is no silence, however late the application comes to read it.
            self.read(cx);
            self.handle.0.lock().session.handle_timeout(now());
        }
        loop {
            if let Some(event) = self.take_output() {
                if let Event::Message(_) = event {
                    self.turn.message(self.registry.config.turn.time);
                }
                return Poll::Ready(event);
            }
            self.fill_writers();
            self.flush(cx);
            if self.turn.is_over() {
                self.give_way(cx);
                return Poll::Pending;
            }
            if self.read(cx) {
                continue;
            }
            if self.park(cx) {
                self.turn = Turn::new(&self.registry.config.turn);
                return Poll::Pending;
            }
        }
    }

    /// Ends the turn: the task goes on once the runtime has looked at what else is ready.
    fn give_way(&mut self, cx: &mut Context<'_>) {
        self.turn = Turn::new(&self.registry.config.turn);
        let now = now();
        let mut state = self.handle.0.lock();
        // A connection that always has something to do never parks, and its timer may be set too late.
        if state.session.poll_timeout().is_some_and(|timeout| timeout <= now) {
            state.session.handle_timeout(now);
        }
        drop(state);
        let _ = pin!(tokio::task::yield_now()).poll(cx);
    }

    /// The next thing the machine has to tell.
    fn take_output(&mut self) -> Option<Event> {
        let shared = self.handle.0.clone();
        loop {
            let mut state = shared.lock();
            let reading = self.tell_reading(&mut state.session);
            let closed = state.session.is_closed();
            // Messages wait where they are, unless the session is over.
            let output = if reading == Reading::Open || closed {
                if self.turn.is_served() {
                    return None;
                }
                state.session.poll_output()
            } else {
                state.session.poll_control_output()
            };
            match output {
                Some(Output::Message(data)) => return Some(Event::Message(data)),
                Some(Output::Upgraded(transport)) => {
                    self.registry.counters.upgraded.one();
                    let poll = state.poll_to_wake();
                    drop(state);
                    wake([poll]);
                    if let Some(former) = mem::replace(&mut self.websocket, self.probe.take()) {
                        former.end(self.registry.config.linger, self.registry.clone());
                    }
                    return Some(Event::Upgraded(transport));
                }
                Some(Output::ProbeFailed(_)) => {
                    self.registry.counters.probes_failed.one();
                    // Where a probe is under way all the same, it is the next one, and still waits to be taken.
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
                None if reading != Reading::Open && !closed => return None,
                None => {
                    let push =
                        if mem::take(&mut state.undelivered) { state.push.take() } else { None };
                    drop(state);
                    wake([push]);
                    return None;
                }
            }
        }
    }

    /// Tells the session how much is read, where that has changed.
    fn tell_reading(&mut self, session: &mut Session) -> Reading {
        let reading = self.reading(session);
        if self.seen != reading {
            self.seen = reading;
            session.set_reading(now(), reading);
        }
        reading
    }

    /// How much is read of what the client sends.
    fn reading(&self, session: &Session) -> Reading {
        match session.has_room() {
            true if self.reading => Reading::Open,
            // A client that does not take what it is sent cannot be taken for one that waits for its handlers.
            true if self.full => Reading::Blind,
            _ => Reading::Watched,
        }
    }

    /// Takes from the session what the transports can carry.
    fn fill_writers(&mut self) {
        let mut state = self.handle.0.lock();
        if self.probe.is_none() {
            self.probe = state.arriving.take();
        }
        // Before the upgrade the session speaks to the probe, afterwards to what the probe became.
        // Nothing is taken while the kernel has not taken the last batch: it counts as queued, and what is volatile is
        // not sent late.
        if let Some(websocket) = self.websocket.as_mut().or(self.probe.as_mut())
            && websocket.is_idle()
        {
            while !websocket.is_full()
                && let Some(frame) = state.session.poll_transmit(Transport::WebSocket, usize::MAX)
            {
                websocket.send(frame);
            }
        }
        let poll = state.poll_to_wake();
        let ready = state.ready_to_wake();
        drop(state);
        wake(ready.into_iter().map(Some).chain([poll]));
    }

    /// Writes what the transports take.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let was_blocked = mem::take(&mut self.blocked);
        for websocket in [&mut self.websocket, &mut self.probe].into_iter().flatten() {
            let before = websocket.unwritten();
            match websocket.poll_flush(cx, &mut self.turn) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    let lost = Input::Lost(Transport::WebSocket, true);
                    let _ = self.handle.0.lock().session.handle_input(now(), lost);
                }
                Poll::Pending => self.blocked = true,
            }
            // The kernel had no room, and has some again: the client reads.
            if was_blocked && self.seen != Reading::Open && websocket.unwritten() < before {
                self.handle.0.lock().session.heard(now());
            }
        }
    }

    /// Reads once from each transport; whether one had something. Only one that has nothing wakes the task later.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.seen != Reading::Open {
            return self.watch(cx);
        }
        self.full = false;
        let mut ready = false;
        let mut inputs = Vec::new();
        let refused = &self.registry.counters.refused;
        for websocket in [&mut self.websocket, &mut self.probe].into_iter().flatten() {
            ready |= websocket.poll_read(cx, &mut inputs, &mut self.turn, refused).is_ready();
        }
        if !inputs.is_empty() {
            let now = now();
            let mut state = self.handle.0.lock();
            for input in inputs {
                // A violation has closed the session or the probe: its outputs say so.
                let _ = state.session.handle_input(now, input);
            }
        }
        ready
    }

    /// Looks whether the client is there, without reading its messages; whether anything has changed.
    fn watch(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut heard, mut full) = (false, false);
        let mut lost = Vec::new();
        for websocket in [&mut self.websocket, &mut self.probe].into_iter().flatten() {
            let seen = websocket.poll_watch(cx);
            heard |= seen.heard;
            full |= seen.full;
            lost.extend(seen.lost);
        }
        let changed = mem::replace(&mut self.full, full) != full || !lost.is_empty();
        if heard || !lost.is_empty() {
            let now = now();
            let mut state = self.handle.0.lock();
            // A client that reads nothing cannot answer a ping. That it sends does not excuse it.
            if heard && !self.blocked {
                state.session.heard(now);
            }
            for failed in lost {
                let lost = Input::Lost(Transport::WebSocket, failed);
                let _ = state.session.handle_input(now, lost);
            }
        }
        changed
    }

    /// Prepares to wait. False where something happened in between.
    fn park(&mut self, cx: &mut Context<'_>) -> bool {
        let timeout = {
            let mut state = self.handle.0.lock();
            let session = &state.session;
            let transmit = !self.blocked
                && (self.websocket.is_some() || self.probe.is_some())
                && session.has_transmit(Transport::WebSocket);
            let reading = self.reading(session);
            let output = session.has_output() && (reading == Reading::Open || session.is_closed());
            if transmit
                || output
                || reading != self.seen
                || self.probe.is_none() && state.arriving.is_some()
            {
                return false;
            }
            let timeout = session.poll_timeout();
            state.driver = Some(cx.waker().clone());
            timeout
        };
        let again = self.full.then(|| now() + LOOK_AGAIN);
        let Some(timeout) = timeout.into_iter().chain(again).min() else { return true };
        if self.armed.is_none_or(|armed| timeout < armed) {
            self.armed = Some(timeout);
            self.sleep.as_mut().reset(timeout.into());
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            self.armed = None;
            self.handle.0.lock().session.handle_timeout(now());
            return false;
        }
        true
    }

    /// Ends the transports of a session that is over.
    fn finish(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        self.registry.remove(self.handle.sid());
        self.registry.counters.closed(reason);
        tracing::debug!(target: "engineio::session", %reason, "closed");
        // Handles may live on; the address has one session less.
        self.handle.authenticated();
        let (arriving, wakers) = {
            let mut state = self.handle.0.lock();
            if let Some(websocket) = &mut self.websocket {
                while let Some(frame) =
                    state.session.poll_transmit(Transport::WebSocket, usize::MAX)
                {
                    websocket.send(frame);
                }
            }
            let ready = mem::take(&mut state.ready).into_iter().map(Some);
            let requests = [state.poll_to_wake(), state.push.take()];
            self.registry.counters.carried(state.session.take_traffic());
            (state.arriving.take(), ready.chain(requests))
        };
        wake(wakers);
        let transports = [self.websocket.take(), self.probe.take(), arriving];
        for websocket in transports.into_iter().flatten() {
            websocket.end(self.registry.config.linger, self.registry.clone());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.closed.is_none() {
            self.handle.close(true);
            self.finish(CloseReason::ForcedClose);
        }
    }
}
