//! Broadcasts: one event to many sockets, encoded once and framed once.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use engineio_server::{
    Frames, Unsent,
    internal::{OutgoingMessage, compresses_messages, share},
};
use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{
    Body, ClusterRequest, IntoRooms, Offset, Outcome, Replies, Selection, event_args,
};
use socketio_core::typed_emit;
use socketio_parser::{AckId, AckRefused, Args};
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

use crate::{
    client::waiter::{Collector, Waiter},
    config::Overflow,
    error::{BroadcastAckError, ClusterError, EmitError},
    namespace::{
        Namespace, NamespaceInner,
        cluster::{EventNumber, LocalDelivery, Membership, Relay, UnloggedEvent},
        delivery::Delivery,
        recovery::{Encode, EngineLog, RecoveryLog},
    },
    socket::{Socket, inner::SocketInner},
    time::now,
};

/// A broadcast under construction. Each modifier returns a new value, which can be kept and used
/// several times.
///
/// ```
/// use socketio_server::Server;
///
/// # fn main() -> Result<(), socketio_server::EmitError> {
/// let io = Server::new();
/// io.to(["news", "sports"]).except("muted").emit("headline", "it works")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Broadcast {
    namespace: Namespace,
    selection: Selection,
    without: Option<ByteString>,
}

impl Namespace {
    /// Creates a broadcast to all sockets of the namespace.
    pub(crate) fn broadcast(&self) -> Broadcast {
        Broadcast { namespace: self.clone(), selection: Selection::default(), without: None }
    }
}

impl Broadcast {
    /// Creates a broadcast to the sockets of this node that a node has selected.
    pub(crate) fn on_this_node(namespace: &Namespace, mut selection: Selection) -> Self {
        selection.flags.local = true;
        Self { namespace: namespace.clone(), selection, without: None }
    }

    /// Excludes the sending socket.
    pub(crate) fn without(mut self, id: ByteString) -> Self {
        self.without = Some(id);
        self
    }

    /// Returns the same broadcast in another namespace.
    pub(crate) fn in_namespace(self, namespace: Namespace) -> Self {
        Self { namespace, ..self }
    }

    /// Adds rooms to the recipients. A socket that is in several of them gets the event once. An
    /// empty list adds no recipients: a broadcast to only an empty list reaches no socket on any
    /// node, and a broadcast without `to` reaches all sockets. (In Node an empty list reaches all
    /// sockets.)
    ///
    /// ```
    /// use socketio_server::{Room, Server};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = Server::new();
    /// let followers: Vec<Room> = Vec::new();
    /// io.to(followers).emit("news", &"reaches nobody")?;
    /// io.emit("news", &"reaches everybody")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// Does the same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Excludes the sockets in `rooms`. A socket's id works too. An empty list excludes no socket.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// # fn main() -> Result<(), socketio_server::EmitError> {
    /// let io = Server::new();
    /// io.to(["red", "blue"]).except("referees").emit("goal", &())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Restricts the broadcast to sockets of this node.
    pub fn local(mut self) -> Self {
        self.selection.flags.local = true;
        self
    }

    /// Makes the broadcast volatile: it is dropped, not queued, for recipients whose transport is
    /// not writable.
    pub fn volatile(mut self) -> Self {
        self.selection.flags.volatile = true;
        self
    }

    /// Sets whether the broadcast may be compressed (default `true`). See [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.selection.flags.compress = Some(compress);
        self
    }

    /// Sets how long to wait for the acks (default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 30 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.selection.flags.timeout = Some(timeout);
        self
    }

    /// Sends the event. This never waits: the server's [`Overflow`] policy applies to recipients
    /// whose queue is full. Recipients on this node get the event at once. Other nodes get events
    /// in the order of the calls. If the adapter's engine keeps a log for [recovery on any
    /// node](crate::Recovery), recipients on this node get the event when the log returns it.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if the queue to the other nodes is full.
    /// In both cases no recipient has got the event. With an adapter, arguments that are nested 125
    /// or more levels deep, including the argument list, cannot be encoded.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        let everybody = |_: &SocketInner| true;
        let Some(membership) = self.cluster() else { return self.deliver(everybody, event, args) };
        let args = event_args(event, args)?;
        match membership.publish_broadcast(args.clone(), self.selection_for_nodes())? {
            LocalDelivery::Now => self.deliver(everybody, event, &args),
            LocalDelivery::ByLog => Ok(()),
        }
    }

    /// Delivers an event to the recipients of this node for which it is due. With a log of this
    /// node, it is due for all of them.
    pub(crate) fn deliver<T: Serialize + ?Sized>(
        &self,
        is_due: impl Fn(&SocketInner) -> bool,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let namespace = &self.namespace.0;
        if let Delivery::LocalLog(log) = &namespace.delivery
            && !self.selection.flags.volatile
            && !self.selection.selects_none()
        {
            return self.deliver_at(log, event, args);
        }
        let frames = namespace.config.parser.encode_event(&namespace.nsp, None, event, args)?;
        let frames = self.prepare(frames);
        let mut targets = self.targets();
        targets.retain(|target| is_due(target));
        self.namespace.notify_outgoing(&targets, event, args);
        for target in targets {
            self.queue(&target, &frames);
        }
        Ok(())
    }

    /// Appends an event to the log of this node, and delivers it.
    fn deliver_at<T: Serialize + ?Sized>(
        &self,
        log: &RecoveryLog,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let offset = log.next_offset();
        let NamespaceInner { nsp, config, .. } = &*self.namespace.0;
        let frames = config.parser.encode_event_at(nsp, event, args, &offset.to_string())?;
        let frames = self.prepare(frames);
        self.notify_outgoing(event, args);
        let recipients = (&self.selection, self.without.as_ref());
        for full in log.deliver(&self.namespace, recipients, offset, frames) {
            self.overflowed(&full);
        }
        Ok(())
    }

    /// Calls the listeners for outgoing events before an event is queued. The recipients are selected
    /// once more under the lock of the log, because a client may return in the meantime.
    fn notify_outgoing<T: Serialize + ?Sized>(&self, event: &str, args: &T) {
        if self.namespace.has_outgoing_listeners() {
            self.namespace.notify_outgoing(&self.targets(), event, args);
        }
    }

    /// Delivers an event at its position in the log of an engine to the recipients of this node.
    pub(crate) fn deliver_logged(
        &self,
        engine: &EngineLog,
        (offset, number): (&Offset, Option<EventNumber<'_>>),
        args: &Args,
    ) {
        let encode = |offset: &str| self.encode(args, Some(offset));
        let Some(frames) = encode(offset) else { return };
        self.namespace.0.counters.here().events.broadcasts.one();
        self.notify_outgoing(args.event(), args);
        let (namespace, at) = (&self.namespace, (offset, number));
        for full in engine.deliver(namespace, &self.selection, at, &frames, &encode) {
            self.overflowed(&full);
        }
    }

    /// Delivers an event of this node that the log of an engine has not returned.
    pub(crate) fn deliver_unlogged(
        &self,
        engine: &EngineLog,
        event: UnloggedEvent<'_>,
        args: &Args,
    ) {
        let Some(frames) = self.encode(args, None) else { return };
        self.namespace.0.counters.here().events.broadcasts.one();
        self.notify_outgoing(args.event(), args);
        let (broadcast, args) = (self.clone(), args.clone());
        let encode: Encode = Arc::new(move |offset| broadcast.encode(&args, offset));
        let namespace = &self.namespace;
        for full in engine.deliver_unlogged(namespace, &self.selection, event, &frames, &encode) {
            self.overflowed(&full);
        }
    }

    /// Encodes an event whose log an engine keeps.
    fn encode(&self, args: &Args, offset: Option<&str>) -> Option<Frames> {
        let NamespaceInner { nsp, config, .. } = &*self.namespace.0;
        let (parser, event) = (config.parser, args.event());
        let encoded = match offset {
            Some(offset) => parser.encode_event_at(nsp, event, args, offset),
            None => parser.encode_event(nsp, None, event, args),
        };
        match encoded {
            Ok(frames) => Some(self.compressible(frames)),
            Err(error) => {
                tracing::debug!(target: "socketio::cluster", %error, "cannot deliver an event");
                None
            }
        }
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// See [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends the event and collects the acks of all recipients, in no particular order. A client
    /// whose handler failed counts as missing.
    ///
    /// A recipient of which [`Limits::max_pending_acks`](crate::Limits::max_pending_acks) acks are
    /// already awaited gets the event when there is room. Waiting counts towards the timeout, and so
    /// does counting the nodes of a cluster.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::{BroadcastAckError, Server};
    ///
    /// async fn votes(io: &Server) -> Vec<u32> {
    ///     let ballot = io.to("voters").timeout(Duration::from_secs(2));
    ///     match ballot.emit_with_ack("vote?", &()).await {
    ///         Ok(votes) => votes,
    ///         Err(BroadcastAckError::Partial { responses, missing, .. }) => {
    ///             println!("{missing} clients have not voted");
    ///             responses
    ///         }
    ///         Err(_) => Vec::new(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`]. If some recipients do not send an ack, the error contains the
    /// acks that arrived.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        self.ask(event, args, |ack| ack.decode_ack().ok()).await
    }

    /// Does the same as [`emit_with_ack`](Self::emit_with_ack), but decodes each ack with `read`.
    /// An ack for which `read` returns `None` counts as missing.
    pub(crate) async fn ask<R>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
        read: impl Fn(&Args) -> Option<R>,
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        let Some(membership) = self.cluster() else {
            let here = self.emit_with_ack_here(event, args)?;
            return summary(here.acks().await, None, read);
        };
        let args = event_args(event, args).map_err(EmitError::from)?;
        let mut selection = self.selection_for_nodes();
        let timeout = self.ack_timeout();
        selection.flags.timeout = Some(timeout);
        let request = ClusterRequest::Broadcast(args.clone(), selection);
        membership.order().wait_for_events().await;
        let began = now();
        let request = membership.ask(request, timeout).await.map_err(EmitError::from)?;
        // An engine that is slow to count the nodes takes its time from the recipients.
        let here = self.clone().timeout(timeout.saturating_sub(now() - began));
        let here = here.emit_with_ack_here(event, &args)?.acks().await;
        let outcome = request.outcome().await.map_err(EmitError::from)?;
        summary(here, Some(outcome), read)
    }

    /// Sends the event to the recipients on this node and collects their acks.
    fn emit_with_ack_here<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<LocalAcks<'_>, EmitError> {
        let (id, frames) = self.encode_with_ack(event, args)?;
        let targets = self.targets();
        let expected = targets.len();
        self.namespace.notify_outgoing(&targets, event, args);
        let (collector, all) = Collector::new(expected);
        let mut pending = Pending { broadcast: self, id, targets: Vec::with_capacity(expected) };
        let mut waiting = JoinSet::new();
        for target in targets {
            // A share that is dropped counts as a missing ack.
            let waiter = Waiter::Many(collector.share());
            match self.emit_with_ack_to(&target, id, waiter, frames.clone()) {
                AskOutcome::Sent => pending.targets.push(target),
                AskOutcome::Waits(late) => {
                    pending.targets.push(target);
                    waiting.spawn(late);
                }
                AskOutcome::Failed => {}
            }
        }
        Ok(LocalAcks { pending, expected, collector, all, _waiting: waiting })
    }

    /// Sends the event to the recipients on this node for another node. Returns their number.
    pub(crate) fn relay(&self, args: &Args, runtime: &Handle, relay: impl Fn() -> Relay) -> usize {
        let Ok((id, frames)) = self.encode_with_ack(args.event(), args) else { return 0 };
        let targets = self.targets();
        self.namespace.notify_outgoing(&targets, args.event(), args);
        let has_sent = |target: &&Arc<SocketInner>| match self.emit_with_ack_to(
            target,
            id,
            Waiter::Relay(Box::new(relay())),
            frames.clone(),
        ) {
            AskOutcome::Sent => true,
            AskOutcome::Waits(late) => {
                runtime.spawn(late);
                true
            }
            AskOutcome::Failed => false,
        };
        targets.iter().filter(has_sent).count()
    }

    /// Encodes the event once for all recipients.
    fn encode_with_ack<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(AckId, Frames), EmitError> {
        let id = AckId::from(self.namespace.next_ack_id());
        let parser = self.namespace.0.config.parser;
        let frames = parser.encode_event(self.namespace.nsp(), Some(id), event, args)?;
        Ok((id, self.prepare(frames)))
    }

    /// Sends the event to one recipient, or returns a future that does so when another of its acks
    /// may be awaited.
    fn emit_with_ack_to(
        &self,
        target: &Arc<SocketInner>,
        id: AckId,
        waiter: Waiter,
        frames: Frames,
    ) -> AskOutcome<impl Future<Output = ()> + Send + use<>> {
        let (nsp, timeout) = (self.namespace.nsp(), self.ack_timeout());
        let waiter = match target.client.try_expect_ack(nsp, id, timeout, waiter) {
            Ok(()) => {
                let queued = self.queue_with_ack(target, id, &frames);
                return if queued { AskOutcome::Sent } else { AskOutcome::Failed };
            }
            Err((AckRefused::TooMany, waiter)) => waiter,
            Err(_) => return AskOutcome::Failed,
        };
        if self.selection.flags.volatile {
            target.client.counters.here().acks.refused.one();
            return AskOutcome::Failed;
        }
        let (broadcast, target) = (self.clone(), target.clone());
        AskOutcome::Waits(async move {
            let room = target.client.expect_ack_when_room(&target, id, timeout, waiter);
            if room.await.is_ok() {
                broadcast.queue_with_ack(&target, id, &frames);
            }
        })
    }

    /// Queues an event whose ack is awaited. Returns whether there was room.
    fn queue_with_ack(&self, target: &SocketInner, id: AckId, frames: &Frames) -> bool {
        let queued = self.queue(target, frames);
        if !queued {
            target.client.forget(self.namespace.nsp(), id);
        }
        queued
    }

    fn ack_timeout(&self) -> Duration {
        self.selection.flags.timeout.unwrap_or(self.namespace.0.config.ack_timeout)
    }

    /// Makes the selected sockets join rooms. A socket that reaches a limit joins the rooms before
    /// the refused one; this is not reported.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// # fn main() -> Result<(), socketio_server::ClusterError> {
    /// let io = Server::new();
    /// io.to("waiting").sockets_join(["game", "game 7"])?;
    /// io.to("game").sockets_leave("waiting")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a room's name is longer than
    /// [`max_room_name`](crate::ServerConfig::max_room_name), or if the queue to the other nodes is
    /// full. In both cases no socket has joined.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        if list.is_empty() {
            return Ok(());
        }
        let limit = self.namespace.0.config.max_room_name;
        if list.iter().any(|room| room.len() > limit) {
            return Err(ClusterError::RoomNameTooLong { limit });
        }
        self.publish(|selection| Body::SocketsJoin { selection, rooms: list.clone() })?;
        for target in self.targets() {
            let _ = Socket(target).join(&list[..]);
        }
        Ok(())
    }

    /// Makes the selected sockets leave rooms. The room of a socket's own id cannot be left.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full. In that case no socket has left.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        if list.is_empty() {
            return Ok(());
        }
        self.publish(|selection| Body::SocketsLeave { selection, rooms: list.clone() })?;
        for target in self.targets() {
            Socket(target).leave(&list[..]);
        }
        Ok(())
    }

    /// Disconnects the selected sockets. Their connections and other namespaces remain.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full. In that case no socket is
    /// disconnected.
    pub fn disconnect_sockets(&self) -> Result<(), ClusterError> {
        self.disconnect(false)
    }

    /// Closes the connections of the selected sockets, with the sockets of all their namespaces
    /// (`disconnectSockets(true)` in Node). See [`Socket::close_connection`].
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// # fn main() -> Result<(), socketio_server::ClusterError> {
    /// let io = Server::new();
    /// io.to("room").disconnect_sockets()?; // the connections remain
    /// io.except("admins").close_connections()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full. In that case no connection is
    /// closed.
    pub fn close_connections(&self) -> Result<(), ClusterError> {
        self.disconnect(true)
    }

    pub(crate) fn disconnect(&self, close: bool) -> Result<(), ClusterError> {
        self.publish(|selection| Body::DisconnectSockets { selection, close })?;
        for target in self.targets() {
            let socket = Socket(target);
            if close { socket.close_connection() } else { socket.disconnect() }
        }
        Ok(())
    }

    /// Publishes a message to the other nodes, if there are any.
    fn publish(&self, body: impl FnOnce(Selection) -> Body) -> Result<(), ClusterError> {
        match self.cluster() {
            Some(membership) => membership.publish(body(self.selection_for_nodes())),
            None => Ok(()),
        }
    }

    /// Returns the namespace's membership in the cluster if the broadcast includes other nodes. A
    /// selection of no socket must stay on this node, because on the wire it would select all
    /// sockets.
    pub(crate) fn cluster(&self) -> Option<&Arc<Membership>> {
        let here = self.selection.flags.local || self.selection.selects_none();
        if here { None } else { self.namespace.join_cluster() }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Returns the selection in the form for other nodes, which excludes the sending socket by the
    /// room of its id.
    pub(crate) fn selection_for_nodes(&self) -> Selection {
        let mut selection = self.selection.clone();
        if let Some(id) = &self.without {
            selection.except(id.clone());
        }
        selection
    }

    /// Collects the recipients. The lock of the rooms is released before anything is sent.
    pub(crate) fn targets(&self) -> Vec<Arc<SocketInner>> {
        let mut targets = Vec::new();
        self.namespace.hub().select(&self.selection, self.without.as_deref(), &mut targets);
        targets.retain(|target| target.is_connected());
        targets
    }

    /// Counts the frames of an event that is about to be sent, and sets whether and how transports
    /// may compress them.
    fn prepare(&self, frames: Frames) -> Frames {
        self.namespace.0.counters.here().events.broadcasts.one();
        self.compressible(frames)
    }

    fn compressible(&self, frames: Frames) -> Frames {
        match self.selection.flags.compress {
            Some(false) => frames.compress(false),
            _ if compresses_messages(&self.namespace.0.config.engine) => share(frames),
            _ => frames,
        }
    }

    /// Queues the frames for one recipient. Returns whether there was room.
    fn queue(&self, target: &SocketInner, frames: &Frames) -> bool {
        if self.selection.flags.volatile {
            return target.send_volatile(frames.clone()).unwrap_or(false);
        }
        let result = target.send(OutgoingMessage::Shared(frames));
        if let Err(EmitError::Full) = result {
            self.overflowed(target);
        }
        result.is_ok()
    }

    fn overflowed(&self, target: &SocketInner) {
        tracing::debug!(target: "socketio::broadcast", session = %target.client, "a recipient's queue is full");
        if self.namespace.0.config.overflow == Overflow::Disconnect {
            self.namespace.0.counters.here().events.slow_clients_closed.one();
            target.client.handle.close(Unsent::Discard);
        }
    }
}

/// The result of asking one recipient.
enum AskOutcome<F> {
    Sent,
    /// The event is sent by this future.
    Waits(F),
    Failed,
}

/// Recipients on this node whose acks are awaited.
struct LocalAcks<'a> {
    pending: Pending<'a>,
    expected: usize,
    collector: Arc<Collector>,
    all: oneshot::Receiver<()>,
    /// The tasks of recipients that get the event later. They end with this value.
    _waiting: JoinSet<()>,
}

impl LocalAcks<'_> {
    /// Returns the acks, and the number of recipients.
    async fn acks(mut self) -> (Vec<Args>, usize) {
        if self.expected > 0 {
            // Each entry has its own deadline in its connection's driver, so this always resolves.
            let _ = self.all.await;
        }
        self.pending.targets.clear();
        (self.collector.take(), self.expected)
    }
}

/// Combines the acks of this node and of the others. An ack that `read` cannot decode counts as
/// missing.
fn summary<R>(
    (mut acks, mut expected): (Vec<Args>, usize),
    others: Option<Outcome>,
    read: impl Fn(&Args) -> Option<R>,
) -> Result<Vec<R>, BroadcastAckError<R>> {
    let mut missing_nodes = 0;
    if let Some(Outcome { replies: Replies::Args(more), missing_clients, .. }) = &others {
        let missing = usize::try_from(*missing_clients).unwrap_or(usize::MAX);
        expected = expected.saturating_add(more.len()).saturating_add(missing);
        acks.extend_from_slice(more);
        missing_nodes = others.as_ref().map_or(0, |others| others.missing_nodes);
    }
    let responses: Vec<R> = acks.iter().filter_map(read).collect();
    match expected.saturating_sub(responses.len()) {
        0 if missing_nodes == 0 => Ok(responses),
        missing => Err(BroadcastAckError::Partial { responses, missing, missing_nodes }),
    }
}

/// Removes the pending acks of a broadcast from the tables when it is dropped.
struct Pending<'a> {
    broadcast: &'a Broadcast,
    id: AckId,
    targets: Vec<Arc<SocketInner>>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        for target in &self.targets {
            target.client.forget(self.broadcast.namespace.nsp(), self.id);
        }
    }
}

impl Broadcast {
    typed_emit! {
        /// Broadcasts a typed event. See [`emit`](Self::emit).
        ///
        /// # Errors
        ///
        /// Returns the errors of [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;

        /// Broadcasts a typed event and collects the acks of all recipients. See
        /// [`emit_with_ack`](Self::emit_with_ack).
        ///
        /// # Errors
        ///
        /// See [`BroadcastAckError`].
        async fn emit_event_with_ack() -> Result<Vec<R>, BroadcastAckError<R>>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_missing_clients_from_another_node_cannot_overflow() {
        let replies = Replies::Args(vec![socketio_adapter::ack_args(&1).unwrap()]);
        let others = Outcome { replies, missing_nodes: 0, missing_clients: u64::MAX };
        let Err(BroadcastAckError::Partial { responses, missing, .. }) =
            summary((Vec::new(), 1), Some(others), |ack| ack.decode::<u32>().ok())
        else {
            unreachable!("acks are missing")
        };
        assert_eq!((responses, missing), (vec![1], usize::MAX - 1));
    }
}
