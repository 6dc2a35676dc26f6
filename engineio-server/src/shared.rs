//! State shared by the requests, the driver and the handles of one session.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, atomic::AtomicBool},
    task::{Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use engineio_parser::{
    ByteString, Frame, Frames, PacketData, PacketType, Revision, Transport,
    session::{CloseReason, SendError, Session, Unsent},
};

use crate::{
    handshake::Handshake,
    internal::{count_refused, send_with},
    stats::Counters,
    sync::{Mutex, MutexGuard, lock},
    transport::{MessageTransport, jsonp::Jsonp},
    unauthenticated::Slot,
};

/// One session.
pub(crate) struct Shared {
    sid: ByteString,
    handshake: Handshake,
    /// The client cannot read binary payloads (revision 3), so polling responses contain base64.
    pub(crate) b64: bool,
    /// Set for a JSONP client: wraps polling responses in scripts.
    /// Boxed, because most clients use another transport.
    pub(crate) jsonp: Option<Box<Jsonp>>,
    /// More than half of the outgoing queue was full after a message was queued. The driver, which
    /// resets it, then delivers no message before it has looked at the queue.
    pub(crate) crowded: AtomicBool,
    pub(crate) counters: Arc<Counters>,
    state: Mutex<State>,
}

/// The state behind the lock. The lock is held briefly: never across an await or user code. Wakers
/// are woken after it is released.
pub(crate) struct State {
    pub(crate) session: Session,
    /// The probe of an upgrade, until the driver takes it.
    pub(crate) arriving: Option<Box<MessageTransport>>,
    /// Messages of a POST have not all been passed to the application. The next POST waits.
    pub(crate) undelivered: bool,
    pub(crate) driver: Option<Waker>,
    /// Boxed, because an idle WebSocket session has none.
    pub(crate) waiting: Option<Box<Waiting>>,
    /// Counts the session as unauthenticated until it is dropped. `None` if it is not counted.
    pub(crate) slot: Option<Box<Slot>>,
}

/// The tasks that wait for a session, besides its driver.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The task of the pending GET.
    pub(crate) poll: Option<Waker>,
    /// The task of the pending POST.
    pub(crate) push: Option<Waker>,
    /// Tasks that wait for room in the outgoing queue.
    pub(crate) ready: Vec<Waker>,
}

/// Returns the current time. Follows tokio's virtual clock in tests.
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
            crowded: AtomicBool::new(false),
            counters,
            state: Mutex::new(State {
                session,
                arriving: None,
                undelivered: false,
                driver: None,
                waiting: None,
                slot: None,
            }),
        }
    }

    /// Sets the JSONP callback. A JSONP client cannot read binary data.
    pub(crate) fn with_jsonp(mut self, jsonp: Option<Jsonp>) -> Self {
        self.b64 |= jsonp.is_some();
        self.jsonp = jsonp.map(Box::new);
        self
    }

    pub(crate) fn sid(&self) -> &ByteString {
        &self.sid
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the session from outside its driver, then wakes the driver and the pending GET.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, driver, poll) = {
            let mut state = self.lock();
            let result = change(&mut state);
            (result, state.driver.take(), state.poll_to_wake())
        };
        wake(driver);
        wake(poll);
        result
    }
}

impl Drop for Shared {
    /// Counts traffic that was not yet counted when the session ended.
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        self.counters.add_traffic(state.session.take_traffic());
    }
}

impl State {
    /// Takes the waker of the pending GET if the GET can be answered now.
    pub(crate) fn poll_to_wake(&mut self) -> Option<Waker> {
        let poll = &mut self.waiting.as_mut()?.poll;
        let due = poll.is_some()
            && (self.session.has_transmit(Transport::Polling)
                || self.session.is_closed()
                || self.session.transport() != Transport::Polling);
        if due { poll.take() } else { None }
    }

    /// Takes the waker of the pending POST.
    pub(crate) fn push_to_wake(&mut self) -> Option<Waker> {
        self.waiting.as_mut()?.push.take()
    }

    /// Moves one batch of frames to a transport, unless the kernel has not accepted the previous
    /// batch. Until then frames count as queued, and volatile messages are not sent late.
    #[inline]
    pub(crate) fn fill(&mut self, transport: &mut Option<Box<MessageTransport>>) {
        let Some(transport) = transport.as_deref_mut().filter(|it| it.is_idle()) else { return };
        let kind = transport.kind();
        while !transport.is_full() {
            if let Some(frames) = self.session.poll_packed(kind) {
                transport.send_packed(frames);
            } else if let Some(frame) = self.session.poll_transmit(kind, usize::MAX) {
                transport.send(frame);
            } else {
                break;
            }
        }
    }

    /// Moves all frames to a transport that gets no more of them, or that has to write the response
    /// of its handshake first.
    pub(crate) fn drain(&mut self, transport: &mut MessageTransport) {
        while let Some(frame) = self.session.poll_transmit(transport.kind(), usize::MAX) {
            transport.send(frame);
        }
    }

    /// Takes the wakers of tasks that wait for room, if enough is free that they can proceed.
    pub(crate) fn ready_to_wake(&mut self) -> Vec<Waker> {
        match &mut self.waiting {
            Some(waiting) if self.session.is_closed() || self.session.has_room() => {
                std::mem::take(&mut waiting.ready)
            }
            _ => Vec::new(),
        }
    }
}

#[inline]
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A reference to a session, usable from any task. Sends messages, closes the session and returns
/// its properties. A clone costs one reference count.
///
/// A handle does not keep the session alive. After the session's end it refuses messages.
///
/// ```no_run
/// use engineio_server::{Engine, EngineConfig, SendError, Unsent};
///
/// # let engine = Engine::new(EngineConfig::default(), |_| async {});
/// if let Some(handle) = engine.client("lv_VI97HAXpY6yYWAAAC") {
///     match handle.send("news") {
///         Ok(()) => {}
///         // The client reads too slowly, and its queue is full. This example drops the client.
///         Err(SendError::Full(_)) => handle.close(Unsent::Discard),
///         Err(_) => println!("gone"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

impl Handle {
    /// Returns the session id: 20 characters of base64url, unless
    /// [`generate_id`](crate::EngineConfig::generate_id) is set.
    pub fn sid(&self) -> &ByteString {
        &self.0.sid
    }

    /// Returns the request that opened the session.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// Returns the transport in use.
    pub fn transport(&self) -> Transport {
        self.0.lock().session.transport()
    }

    /// Returns whether the client opened the session with another transport than the current one.
    pub fn is_upgraded(&self) -> bool {
        let query = self.handshake().query();
        let first = query.iter().rev().find(|(key, _)| key == "transport");
        first.and_then(|(_, name)| Transport::parse(name)).is_some_and(|it| it != self.transport())
    }

    /// Returns the client's protocol revision.
    pub fn revision(&self) -> Revision {
        self.0.lock().session.revision()
    }

    /// Returns whether the session is closed.
    pub fn is_closed(&self) -> bool {
        self.0.lock().session.is_closed()
    }

    /// Returns how much waits to be sent to the client.
    pub fn queued(&self) -> Queued {
        let session = &self.0.lock().session;
        Queued { packets: session.queued_packets(), bytes: session.queued_bytes() }
    }

    /// Returns whether at least half of the outgoing queue is free. Otherwise no message is read
    /// from the client.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.0.lock().session.has_room()
    }

    /// Queues one message. A message of any size is accepted if [at least half of the queue is
    /// free](Self::has_room).
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] with the message if more than half of the queue is full and the
    /// message would exceed `max_queued_packets` or `max_queued_bytes` of
    /// [`EngineConfig`](crate::EngineConfig). Returns another [`SendError`] if the session is
    /// closed.
    pub fn send(&self, data: impl Into<Message>) -> Result<(), SendError> {
        self.send_frames(data.into().0.into())
    }

    /// Queues encoded messages, between which no other message is sent. They may be of any size if
    /// [at least half of the queue is free](Self::has_room). After [`SendError::Full`], wait for
    /// that with [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// Returns the frames if the queue is full or the session is closed.
    pub fn send_frames(&self, frames: Frames) -> Result<(), SendError> {
        let result = send_with(self, |session| session.send(frames));
        if let Err(SendError::Full(_)) = result {
            count_refused(self);
        }
        result
    }

    /// Queues messages only if [at least half of the queue is free](Self::has_room). For acks and
    /// other replies, which should leave the rest of the queue to events.
    ///
    /// # Errors
    ///
    /// Returns the frames if more than half of the queue is full or the session is closed.
    pub fn send_if_room(&self, frames: Frames) -> Result<(), SendError> {
        send_with(self, |session| session.send_if_room(frames))
    }

    /// Queues messages only if the transport can send them at once. Returns whether they were
    /// queued. For messages that are worthless later.
    pub fn send_volatile(&self, frames: Frames) -> bool {
        send_with(self, |session| session.send_volatile(frames))
    }

    /// Waits until at least half of the outgoing queue is free or the session is closed.
    pub async fn ready(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.session.is_closed() || state.session.has_room() {
                return Poll::Ready(());
            }
            // One waker per task: a future that is polled often or recreated in a loop must not add
            // more.
            let ready = &mut state.waiting.get_or_insert_default().ready;
            if !ready.iter().any(|waker| waker.will_wake(cx.waker())) {
                ready.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Marks the client as authenticated. The session no longer counts towards
    /// [`max_unauthenticated_per_address`](crate::EngineConfig::max_unauthenticated_per_address).
    pub fn authenticated(&self) {
        let slot = self.0.lock().slot.take();
        drop(slot);
    }

    /// Closes the session ("forced close"). `unsent` decides whether queued messages are sent first,
    /// for at most 30 s, or dropped.
    pub fn close(&self, unsent: Unsent) {
        self.0.with(|state| state.session.close(now(), CloseReason::ForcedClose, unsent));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("transport", &self.transport()).finish_non_exhaustive()
    }
}

/// The number and size of the messages in the outgoing queue of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// The number of packets.
    pub packets: usize,
    /// The size of the packets in bytes.
    pub bytes: usize,
}

/// A message to send, made from text or binary data.
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

impl From<PacketData> for Message {
    fn from(data: PacketData) -> Self {
        match data {
            PacketData::Text(text) => (&*text).into(),
            PacketData::Binary(data) => data.into(),
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

    struct IgnoredWake;

    impl Wake for IgnoredWake {
        fn wake(self: Arc<Self>) {}
    }

    /// Each idle client has one value of each type. The guide has a table of them.
    #[test]
    fn the_parts_of_an_idle_session_stay_small() {
        let sizes = [
            ("Shared", size_of::<Shared>(), 440),
            ("Session", size_of::<Session>(), 208),
            ("Handshake", size_of::<Handshake>(), 120),
            ("Connection", size_of::<crate::Connection>(), 128),
            ("MessageTransport", size_of::<MessageTransport>(), 176),
        ];
        for (name, size, limit) in sizes {
            assert!(size <= limit, "{name} has {size} bytes, {limit} are allowed");
        }
    }

    #[test]
    fn a_task_that_waits_for_room_repeatedly_costs_one_waker() {
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
        let waker = Arc::new(IgnoredWake).into();
        for _ in 0..100 {
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(handle.ready()).poll(&mut cx).is_pending());
        }
        assert_eq!(handle.0.lock().waiting.as_ref().unwrap().ready.len(), 1);
    }
}
