//! The state of one namespace, shared by its handles and the connection's task.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use engineio_parser::Frames;
use serde::Serialize;
use socketio_core::ListenerId;
use socketio_parser::{AckId, EncodeError, Nsp, Parser};
use tokio::sync::{Notify, oneshot};

use super::{
    emitter::{AckResult, Waiter},
    listeners::Listeners,
    outbox::{Awaited, Outbox, Outgoing},
    retries::{Retried, Retries},
};
use crate::{
    config::SocketConfig,
    error::{AckError, ConnectError, EmitError},
    request::Request,
    sync::{Mutex, MutexGuard, lock},
    time::after,
};

/// Callers that wait for the next `connect` or `connect_error`.
type ConnectWaiters = Vec<oneshot::Sender<Result<(), ConnectError>>>;

/// A namespace of a connection.
pub(crate) struct NamespaceSlot {
    nsp: Nsp,
    config: SocketConfig,
    parser: Parser,
    /// Notified when the outgoing queue has room again.
    room: Notify,
    state: Mutex<NamespaceState>,
    listeners: Mutex<Arc<Listeners>>,
    has_outgoing: AtomicBool,
    next_ack: AtomicU64,
}

/// The part of the state that changes together.
struct NamespaceState {
    /// Whether the namespace should be joined.
    request: Request,
    /// The socket's id while it is connected.
    id: Option<Arc<str>>,
    recovered: bool,
    /// Whether the connection's task has ended, so that nothing may be queued.
    ended: bool,
    /// Counts the joins of the namespace. Acks of an earlier join are not sent.
    epoch: u64,
    outbox: Outbox<Waiter>,
    retries: Retries<Waiter>,
    /// Acks whose callers have stopped waiting.
    abandoned_acks: Vec<AckId>,
    connecting: ConnectWaiters,
}

/// The requests of a socket's handles since the last call.
pub(crate) struct SlotRequests {
    /// Whether the namespace is to be left.
    pub(crate) leave: bool,
    /// Whether the namespace is to be joined, after it was left.
    pub(crate) join: bool,
    /// Acks whose callers have stopped waiting.
    pub(crate) abandoned_acks: Vec<AckId>,
}

impl NamespaceSlot {
    pub(crate) fn new(nsp: Nsp, config: SocketConfig, parser: Parser) -> Self {
        let (packets, bytes) = (config.max_queued_packets, config.max_queued_bytes);
        let state = NamespaceState {
            request: Request::None,
            id: None,
            recovered: false,
            ended: false,
            epoch: 0,
            outbox: Outbox::new(packets, bytes),
            retries: Retries::new(packets, bytes),
            abandoned_acks: Vec::new(),
            connecting: Vec::new(),
        };
        Self {
            nsp,
            config,
            parser,
            room: Notify::new(),
            state: Mutex::new(state),
            listeners: Mutex::default(),
            has_outgoing: AtomicBool::new(false),
            next_ack: AtomicU64::new(0),
        }
    }

    pub(crate) fn nsp(&self) -> &Nsp {
        &self.nsp
    }

    pub(crate) fn config(&self) -> &SocketConfig {
        &self.config
    }

    fn state(&self) -> MutexGuard<'_, NamespaceState> {
        lock(&self.state)
    }

    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.state.try_lock().is_err()
    }

    pub(crate) fn request(&self) -> Request {
        self.state().request
    }

    /// Returns the socket's id while it is connected.
    pub(super) fn id(&self) -> Option<Arc<str>> {
        self.state().id.clone()
    }

    pub(super) fn is_recovered(&self) -> bool {
        self.state().recovered
    }

    /// Requests that the namespace is joined.
    pub(super) fn request_join(&self) {
        self.state().request.open();
    }

    /// Requests that the namespace is left. Queued packets still belong to the current connection,
    /// if there is one. Returns the callers that wait for the connection, or `None` if the namespace
    /// was not to be joined.
    pub(super) fn request_leave(&self) -> Option<ConnectWaiters> {
        let mut state = self.state();
        if !state.request.is_open() {
            return None;
        }
        state.request.close();
        Some(state.disconnect(&self.nsp))
    }

    /// Marks the socket as disconnecting: its queued packets belong to the connection that ends.
    /// Returns the callers that wait for the connection.
    pub(crate) fn disconnect(&self) -> ConnectWaiters {
        self.state().disconnect(&self.nsp)
    }

    /// Marks the queued packets as those of a connection that ends.
    #[cfg(test)]
    pub(super) fn mark_end(&self) {
        self.state().outbox.end();
    }

    /// Stops waiting for an ack. An event that is still queued is not sent.
    pub(super) fn abandon_ack(&self, id: AckId) {
        let removed = {
            let mut state = self.state();
            let removed = state.outbox.remove(id);
            if removed.is_none() {
                state.abandoned_acks.push(id);
            }
            removed
        };
        if removed.is_some() {
            self.room.notify_waiters();
        }
    }

    /// Waits until the outgoing queues have room for the events that they refused, or `is_ended`
    /// returns true.
    pub(super) async fn ready(&self, is_ended: impl Fn() -> bool) {
        loop {
            let room = self.room.notified();
            let ready = {
                let mut state = self.state();
                // Not lazily: both calls reset the size of the refused event.
                state.outbox.is_ready() & state.retries.is_ready()
            };
            if ready || is_ended() {
                return;
            }
            room.await;
        }
    }

    pub(crate) fn take_requests(&self) -> SlotRequests {
        let mut state = self.state();
        SlotRequests {
            leave: state.request.take_close(),
            join: state.request.is_open(),
            abandoned_acks: std::mem::take(&mut state.abandoned_acks),
        }
    }

    /// Records that the client joins the namespace. Returns the number of the join.
    pub(crate) fn begin_join(&self) -> u64 {
        let mut state = self.state();
        state.epoch += 1;
        // No earlier connection is left to end.
        state.outbox.reopen();
        state.epoch
    }

    /// Records that the server has granted the namespace. Returns whether the socket was connected
    /// with this id before, and the waiting callers, or `None` if the socket was disconnected
    /// meanwhile.
    pub(crate) fn joined(&self, id: String, recovered: bool) -> Option<(bool, ConnectWaiters)> {
        let mut state = self.state();
        if state.request.is_closing() {
            return None;
        }
        let former = state.id.replace(id.into());
        state.recovered = recovered;
        Some((former == state.id, std::mem::take(&mut state.connecting)))
    }

    /// Registers a caller that waits for the next `connect` or `connect_error`. Returns `None` if
    /// the socket is connected.
    pub(super) fn await_connection(&self) -> Option<oneshot::Receiver<Result<(), ConnectError>>> {
        let mut state = self.state();
        if state.id.is_some() {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        state.connecting.retain(|waiting| !waiting.is_closed());
        state.connecting.push(sender);
        Some(outcome)
    }

    /// Records that the socket is not connected.
    pub(crate) fn disconnected(&self) {
        self.state().id = None;
    }

    /// Records that the socket is not connected, and connects again only at the user's request.
    pub(crate) fn deactivate(&self) {
        let mut state = self.state();
        state.request.withdraw();
        state.id = None;
    }

    /// Fails the callers that wait for the connection.
    pub(crate) fn fail_connecting(&self, error: &ConnectError) {
        let waiting = std::mem::take(&mut self.state().connecting);
        for waiting in waiting {
            let _ = waiting.send(Err(error.clone()));
        }
    }

    /// Drops the volatile events that wait.
    pub(crate) fn drop_volatile(&self) {
        let volatile = self.state().outbox.take_volatile();
        // Dropped without a lock held, because the drop wakes the callers that wait for acks.
        let dropped = !volatile.is_empty();
        drop(volatile);
        if dropped {
            self.room.notify_waiters();
        }
    }

    /// Records the end of an attempt to send the first event with retries. Returns the event if no
    /// attempt follows. An event that cannot be sent, because it is too large, has no other attempt.
    pub(crate) fn attempt_ended(&self, ack: &AckResult) -> Option<Retried<Waiter>> {
        let done = {
            let mut state = self.state();
            match ack {
                Ok(_) => state.retries.acknowledged(),
                Err(AckError::Emit(_)) => state.retries.failed(0),
                Err(_) => state.retries.failed(self.config.retries.unwrap_or(0)),
            }
        };
        if done.is_some() {
            self.room.notify_waiters();
        }
        done
    }

    /// Hands over the waiting packets in their order, each with whether it is late: an ack for an
    /// event of an earlier join, which is useless. Ends when `transmit` returns a packet for which
    /// there is no room. Returns whether another packet was taken.
    pub(crate) fn send(
        &self,
        mut transmit: impl FnMut(Outgoing<Waiter>, bool) -> Option<Outgoing<Waiter>>,
    ) -> bool {
        let (mut progressed, mut awaited) = (false, false);
        {
            let mut state = self.state();
            while let Some(packet) = state.next_packet(&self.nsp) {
                let late = packet.epoch.is_some_and(|epoch| epoch != state.epoch);
                if let Some(packet) = transmit(packet, late) {
                    state.outbox.put_back(packet);
                    break;
                }
                progressed = true;
            }
            if progressed {
                awaited = state.outbox.take_awaited();
            }
        }
        // Callers are notified after the lock is released.
        if awaited {
            self.room.notify_waiters();
        }
        progressed
    }

    /// Leaves the packets that remain for the next connection.
    pub(crate) fn end_connection(&self) {
        self.state().outbox.reopen();
        self.room.notify_waiters();
    }

    /// Encodes an event of this namespace.
    pub(super) fn encode_event<T: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<Frames, EncodeError> {
        self.parser.encode_event(&self.nsp, id, event, args)
    }

    /// Encodes an ack of this namespace.
    pub(super) fn encode_ack<T: Serialize + ?Sized>(
        &self,
        id: AckId,
        args: &T,
    ) -> Result<Frames, EncodeError> {
        self.parser.encode_ack(&self.nsp, id, args)
    }

    /// Fails all waiting callers, and removes the handlers, which also ends the event streams.
    pub(crate) fn end(&self) {
        let (mut outbox, mut retries) = {
            let mut state = self.state();
            state.id = None;
            state.ended = true;
            let outbox = std::mem::replace(&mut state.outbox, Outbox::new(0, 0));
            (outbox, std::mem::replace(&mut state.retries, Retries::new(0, 0)))
        };
        outbox.reopen();
        let queued = std::iter::from_fn(|| outbox.pop()).filter_map(|packet| packet.ack);
        // The server may have received an event that was sent before. For such an event, the drop
        // of the sender tells the caller of the disconnection.
        let retried = std::iter::from_fn(|| retries.pop()).filter(|event| event.sent == 0);
        let retried = retried.filter_map(|event| event.waiter);
        for waiter in queued.map(|ack| ack.waiter).chain(retried) {
            if let Waiter::Caller(sender) = waiter {
                let _ = sender.send(Err(EmitError::Stopped.into()));
            }
        }
        self.fail_connecting(&ConnectError::Stopped);
        self.change_listeners(|listeners| *listeners = Listeners::default());
        self.room.notify_waiters();
    }

    /// Queues a packet.
    pub(super) fn push(&self, packet: Outgoing<Waiter>) -> Result<(), EmitError> {
        let refused = self.open_state()?.outbox.push(packet);
        refused.map_err(|_| EmitError::Full)
    }

    /// Queues the ack of an event that arrived after join number `epoch`.
    pub(super) fn push_ack(&self, frames: Frames, epoch: u64) -> Result<(), EmitError> {
        let mut state = self.state();
        if state.epoch != epoch || state.id.is_none() {
            return Err(EmitError::Disconnected);
        }
        let packet = Outgoing { frames, ack: None, volatile: false, epoch: Some(epoch) };
        state.outbox.push(packet).map_err(|_| EmitError::Full)
    }

    /// Queues an event with retries.
    pub(super) fn push_retried(&self, event: Retried<Waiter>) -> Result<(), EmitError> {
        let refused = self.open_state()?.retries.push(event);
        refused.map_err(|_| EmitError::Full)
    }

    /// Returns the state, unless the connection's task has ended.
    fn open_state(&self) -> Result<MutexGuard<'_, NamespaceState>, EmitError> {
        let state = self.state();
        if state.ended { Err(EmitError::Stopped) } else { Ok(state) }
    }

    /// Returns the next ack id. As in Node, ids count up.
    pub(super) fn next_ack(&self) -> AckId {
        self.next_ack.fetch_add(1, Ordering::Relaxed).into()
    }

    pub(crate) fn listeners(&self) -> Arc<Listeners> {
        lock(&self.listeners).clone()
    }

    /// Calls the listeners of an outgoing event.
    pub(super) fn notify_outgoing(&self, frames: &Frames) {
        if self.has_outgoing.load(Ordering::Relaxed) {
            self.listeners().notify_outgoing(self.parser, frames);
        }
    }

    /// Changes the listeners. Removed listeners are dropped after the lock is released, because
    /// they are user code.
    pub(crate) fn change_listeners<R>(&self, change: impl FnOnce(&mut Listeners) -> R) -> R {
        let (former, result) = {
            let mut listeners = lock(&self.listeners);
            let mut changed = Listeners::clone(&listeners);
            let result = change(&mut changed);
            self.has_outgoing.store(!changed.outgoing.is_empty(), Ordering::Relaxed);
            (std::mem::replace(&mut *listeners, Arc::new(changed)), result)
        };
        drop(former);
        result
    }

    /// Removes a listener. Returns whether it was still there.
    pub(crate) fn remove_listener(&self, id: ListenerId) -> bool {
        self.change_listeners(|listeners| listeners.remove_listener(id))
    }
}

impl NamespaceState {
    fn disconnect(&mut self, nsp: &Nsp) -> ConnectWaiters {
        if self.id.take().is_some() {
            self.queue_retried(nsp);
            self.outbox.end();
        }
        std::mem::take(&mut self.connecting)
    }

    /// Returns the next packet to send. Packets queued after a disconnection wait for the next
    /// join.
    fn next_packet(&mut self, nsp: &Nsp) -> Option<Outgoing<Waiter>> {
        if self.outbox.is_open() {
            self.queue_retried(nsp);
        }
        self.outbox.pop()
    }

    /// Queues the next event with retries behind the waiting packets, unless one is in flight.
    fn queue_retried(&mut self, nsp: &Nsp) {
        if let Some(Retried { frames, id, timeout, .. }) = self.retries.next() {
            let waiter = Waiter::Retries { nsp: nsp.clone(), timeout: *timeout };
            let ack = Awaited { id: *id, deadline: after(*timeout), waiter };
            let frames = frames.clone();
            self.outbox.push_unbounded(Outgoing {
                frames,
                ack: Some(ack),
                volatile: false,
                epoch: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use engineio_parser::{Frame, PacketType};

    use super::*;

    #[test]
    fn ack_ids_count_up() {
        let slot = slot(SocketConfig::default());
        let ids: Vec<_> = (0..3).filter_map(|_| slot.next_ack().get()).collect();
        assert_eq!(ids, [0, 1, 2]);
    }

    fn slot(config: SocketConfig) -> NamespaceSlot {
        NamespaceSlot::new(Nsp::root(), config, Parser::default())
    }

    fn frames() -> Frames {
        Frame::text(PacketType::Message, "12345").into()
    }

    #[test]
    fn an_event_that_is_too_large_has_one_attempt() {
        let slot = slot(SocketConfig::default().retries(u32::MAX));
        let timeout = Duration::ZERO;
        let event = Retried { frames: frames(), id: 1.into(), timeout, waiter: None, sent: 0 };
        slot.state().retries.push(event).unwrap();
        assert!(slot.state().next_packet(slot.nsp()).is_some());
        assert!(slot.attempt_ended(&Err(AckError::Timeout)).is_none(), "another attempt follows");
        assert!(slot.state().next_packet(slot.nsp()).is_some());
        let refused = Err(EmitError::TooLarge { limit: 1 }.into());
        assert!(slot.attempt_ended(&refused).is_some());
    }

    #[test]
    fn a_dropped_volatile_event_wakes_callers_that_wait_for_room() {
        let slot = slot(SocketConfig::default().max_queued_packets(1));
        let packet = Outgoing { frames: frames(), ack: None, volatile: true, epoch: None };
        slot.push(packet).unwrap();
        let mut room = pin!(slot.room.notified());
        assert!(!room.as_mut().enable());
        slot.drop_volatile();
        assert!(room.as_mut().enable());
    }
}
