//! What the requests, the driver and the handles of one session share.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use engineio_parser::{
    ByteString, Data, Frame, Frames, PacketType, Revision, Transport,
    session::{CloseReason, SendError, Session},
};

use crate::{
    handshake::Handshake,
    stats::Counters,
    transport::{jsonp::Jsonp, websocket::WebSocket},
    unauthenticated::Slot,
};

/// One session.
pub(crate) struct Shared {
    sid: ByteString,
    handshake: Handshake,
    /// The client reads no binary payloads (revision 3): where it polls, it gets base64.
    pub(crate) b64: bool,
    /// How its polling responses are wrapped, for a client that can load scripts only.
    pub(crate) jsonp: Option<Jsonp>,
    pub(crate) counters: Arc<Counters>,
    state: Mutex<State>,
}

/// What the lock guards. It is held for moments only: never across an await, never over user code, and wakers are
/// woken after it is released.
pub(crate) struct State {
    pub(crate) session: Session,
    /// A WebSocket that waits for the driver to take it: the probe of an upgrade.
    pub(crate) arriving: Option<Box<WebSocket>>,
    /// Messages of a POST that the driver has not handed to the application yet; the next POST waits for it.
    pub(crate) undelivered: bool,
    pub(crate) driver: Option<Waker>,
    pub(crate) poll: Option<Waker>,
    pub(crate) push: Option<Waker>,
    /// Those who wait for room in the outgoing queue.
    pub(crate) ready: Vec<Waker>,
    /// Counts the session as one that nobody vouches for, while it is.
    pub(crate) slot: Option<Box<Slot>>,
}

/// The clock of the shell; follows tokio's virtual clock in tests.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    pub(crate) fn new(
        session: Session,
        handshake: Handshake,
        b64: bool,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            sid: session.sid().clone(),
            handshake,
            b64,
            jsonp: None,
            counters,
            state: Mutex::new(State {
                session,
                arriving: None,
                undelivered: false,
                driver: None,
                poll: None,
                push: None,
                ready: Vec::new(),
                slot: None,
            }),
        }
    }

    /// A client that can load scripts only takes no binary.
    pub(crate) fn with_jsonp(mut self, jsonp: Option<Jsonp>) -> Self {
        self.b64 |= jsonp.is_some();
        self.jsonp = jsonp;
        self
    }

    pub(crate) fn sid(&self) -> &ByteString {
        &self.sid
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held must not take the other parties down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session from outside its driver, then wakes whom it concerns.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, driver, poll) = {
            let mut state = self.lock();
            let result = change(&mut state);
            (result, state.driver.take(), state.poll_to_wake())
        };
        wake([driver, poll]);
        result
    }
}

impl Drop for Shared {
    /// What was carried after the session's end.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.counters.carried(state.session.take_traffic());
    }
}

impl State {
    /// The waiting GET, if there is something for it.
    pub(crate) fn poll_to_wake(&mut self) -> Option<Waker> {
        let due = self.poll.is_some()
            && (self.session.has_transmit(Transport::Polling)
                || self.session.is_closed()
                || self.session.transport() != Transport::Polling);
        if due { self.poll.take() } else { None }
    }
}

impl State {
    /// Those who wait for room, if there is enough of it that they will not wait again at once.
    pub(crate) fn ready_to_wake(&mut self) -> Vec<Waker> {
        if self.ready.is_empty() || !self.session.is_closed() && !self.session.has_room() {
            return Vec::new();
        }
        std::mem::take(&mut self.ready)
    }
}

pub(crate) fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}

/// Reaches a session from anywhere: sends, closes, tells about it. A clone costs one reference count.
///
/// It does not keep the session alive: after the session's end everything is refused.
///
/// ```no_run
/// use engineio_server::{Engine, EngineConfig, SendError};
///
/// # let engine = Engine::new(EngineConfig::default(), |_| async {});
/// if let Some(handle) = engine.client("lv_VI97HAXpY6yYWAAAC") {
///     match handle.send("news") {
///         Ok(()) => {}
///         // The client reads too slowly: what it may cost is bounded. Here it is dropped.
///         Err(SendError::Full(_)) => handle.close(true),
///         Err(_) => println!("gone"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

impl Handle {
    /// The session id: 20 characters of base64url.
    pub fn sid(&self) -> &ByteString {
        &self.0.sid
    }

    /// The request that opened the session.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// The transport in use.
    pub fn transport(&self) -> Transport {
        self.0.lock().session.transport()
    }

    /// Whether the client began with another transport than the one in use.
    pub fn is_upgraded(&self) -> bool {
        let query = self.handshake().query();
        let first = query.iter().rev().find(|(key, _)| key == "transport");
        first.and_then(|(_, name)| Transport::parse(name)).is_some_and(|it| it != self.transport())
    }

    /// The protocol revision that the client speaks.
    pub fn revision(&self) -> Revision {
        self.0.lock().session.revision()
    }

    /// Whether the session was closed.
    pub fn is_closed(&self) -> bool {
        self.0.lock().session.is_closed()
    }

    /// Packets and bytes that wait to be sent.
    pub fn queued(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.session.queued_packets(), state.session.queued_bytes())
    }

    /// Whether at least half of the outgoing queue is free. While it is not, no message is read from the client.
    pub fn has_room(&self) -> bool {
        self.0.lock().session.has_room()
    }

    /// Queues one message.
    ///
    /// # Errors
    ///
    /// Gives the message back where the queue is full or the session closed.
    pub fn send(&self, data: impl Into<Message>) -> Result<(), SendError> {
        self.send_frames(data.into().0.into())
    }

    /// Queues messages that were encoded before, as one indivisible run.
    ///
    /// # Errors
    ///
    /// Gives them back where the queue is full or the session closed.
    pub fn send_frames(&self, frames: Frames) -> Result<(), SendError> {
        let (result, waker) = {
            let mut state = self.0.lock();
            let result = state.session.send(frames);
            (result, state.sender_to_wake())
        };
        wake([waker]);
        if matches!(result, Err(SendError::Full(_))) {
            self.0.counters.refused.queue_full.one();
        }
        result
    }

    /// As [`send_frames`](Self::send_frames), but wakes nobody: the waker that is returned is to be woken, and until then
    /// the messages may stay where they are. For whoever sends to many under a lock of its own, and wakes after that.
    ///
    /// # Errors
    ///
    /// Gives the messages back where the queue is full or the session closed.
    pub fn queue_frames(&self, frames: Frames) -> Result<Option<Waker>, SendError> {
        let mut state = self.0.lock();
        state.session.send(frames)?;
        Ok(state.sender_to_wake())
    }

    /// Queues messages if [at least half of the queue is free](Self::has_room), however large they are. For answers, which
    /// must not be lost because of their size.
    ///
    /// # Errors
    ///
    /// Gives them back where more than half of the queue is full, or the session closed.
    pub fn send_if_room(&self, frames: Frames) -> Result<(), SendError> {
        let (result, waker) = {
            let mut state = self.0.lock();
            let result = state.session.send_if_room(frames);
            (result, state.sender_to_wake())
        };
        wake([waker]);
        result
    }

    /// Queues messages only if they can go out at once; says whether they do. For what is worthless later.
    pub fn send_volatile(&self, frames: Frames) -> bool {
        let (sent, waker) = {
            let mut state = self.0.lock();
            let sent = state.session.send_volatile(frames);
            (sent, state.sender_to_wake())
        };
        wake([waker]);
        sent
    }

    /// Waits until at least half of the outgoing queue is free, or the session closed.
    pub async fn ready(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.session.is_closed() || state.session.has_room() {
                return Poll::Ready(());
            }
            // One per task: a future that is polled often, or made anew in a loop, must not pile wakers up.
            if !state.ready.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.ready.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Says that the application knows who this is: the session counts no more towards
    /// [`max_unauthenticated_per_address`](crate::EngineConfig::max_unauthenticated_per_address).
    pub fn authenticated(&self) {
        let slot = self.0.lock().slot.take();
        drop(slot);
    }

    /// Wakes the task that drives the connection, so that it looks at what else it waits for.
    pub fn wake(&self) {
        let waker = self.0.lock().driver.take();
        wake([waker]);
    }

    /// Closes the session ("forced close"). With `discard`, what is queued is dropped; else it is sent first.
    pub fn close(&self, discard: bool) {
        self.0.with(|state| state.session.close(now(), CloseReason::ForcedClose, discard));
    }
}

impl State {
    fn sender_to_wake(&mut self) -> Option<Waker> {
        if self.session.transport() == Transport::Polling {
            self.poll_to_wake()
        } else {
            self.driver.take()
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("transport", &self.transport()).finish_non_exhaustive()
    }
}

/// A message to send, from text or binary.
#[derive(Debug)]
pub struct Message(pub(crate) Frame);

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self(Frame::text(PacketType::Message, text))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self(Frame::binary(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl From<Data> for Message {
    fn from(data: Data) -> Self {
        match data {
            Data::Text(text) => (&*text).into(),
            Data::Binary(data) => data.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Wake},
    };

    use engineio_parser::{Revision, session};

    use super::*;

    struct Sleeper;

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn waiting_for_room_again_and_again_costs_one_waker() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let mut config = session::Config::default();
        config.max_queued_packets = 1;
        let session = Session::server(
            Instant::now(),
            Arc::new(config),
            Revision::V4,
            Transport::Polling,
            "sid".into(),
        );
        let handle = Handle(Arc::new(Shared::new(
            session,
            Handshake::new(&parts, None, None),
            false,
            Arc::default(),
        )));
        handle.send("fills the queue").unwrap();
        let waker = Arc::new(Sleeper).into();
        for _ in 0..100 {
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(handle.ready()).poll(&mut cx).is_pending());
        }
        assert_eq!(handle.0.lock().ready.len(), 1);
    }
}
