//! How events reach the sockets of a namespace. All senders take this one path.
//!
//! A namespace decides when it is made how its events are delivered ([`Delivery`]). With connection
//! state recovery, the lock of the [`RecoveryLog`] is held while an event is queued for its
//! recipients. Only this gives all of the following at once. The events that a client gets are a
//! subsequence of the log, in the log's order, regardless of which tasks send. When `emit` returns,
//! the event is queued, so no ack or disconnection overtakes it. And `emit` can report that a queue
//! is full. Under the lock events are only queued: they are encoded before, and tasks are woken and
//! user code is called after.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::Arc,
};

use engineio_server::{
    Frames,
    internal::{OutgoingMessage, settings},
};
use serde::Serialize;
use socketio_adapter::{
    event_args,
    recovery::{Handover, HandoverRequest},
};

use crate::{
    config::ServerConfig,
    error::{ClusterError, EmitError},
    namespace::{
        Namespace,
        cluster::{LocalDelivery, Membership},
        recovery::{Claim, EngineLog, Lease, RecoveryLog, Resume, ReturningSocket},
    },
    socket::{Socket, inner::SocketInner},
};

/// How the events of a namespace are delivered.
pub(crate) enum Delivery {
    /// Events are queued for their recipients. No session can be recovered.
    Direct,
    /// Events are appended to the log of this node, and queued in its order.
    LocalLog(Box<RecoveryLog>),
    /// Events are published to an engine first, and queued when the engine's log returns them.
    EngineLog(Box<EngineLog>),
}

impl Delivery {
    pub(super) fn new(config: &ServerConfig, membership: Option<&Arc<Membership>>) -> Self {
        let Some(recovery) = &config.recovery else { return Self::Direct };
        match membership.filter(|membership| membership.is_logged()) {
            Some(membership) => {
                let engine = EngineLog::new(recovery, &config.engine, membership.clone());
                Self::EngineLog(Box::new(engine))
            }
            None => Self::LocalLog(Box::new(RecoveryLog::new(recovery, &config.engine))),
        }
    }

    /// Returns the log, if sessions can be recovered.
    pub(crate) fn log(&self) -> Option<&RecoveryLog> {
        match self {
            Self::Direct => None,
            Self::LocalLog(log) => Some(log),
            Self::EngineLog(engine) => Some(engine.log()),
        }
    }

    pub(super) fn engine_log(&self) -> Option<&EngineLog> {
        match self {
            Self::EngineLog(engine) => Some(engine),
            Self::Direct | Self::LocalLog(_) => None,
        }
    }
}

impl Namespace {
    /// Returns the log of the namespace, if sessions can be recovered.
    pub(crate) fn recovery_log(&self) -> Option<&RecoveryLog> {
        self.0.delivery.log()
    }

    /// Sends an event that requests no ack to one socket.
    #[inline]
    pub(crate) fn send_event<T: Serialize + ?Sized>(
        &self,
        socket: &Arc<SocketInner>,
        event: &str,
        args: &T,
        compress: bool,
    ) -> Result<(), EmitError> {
        let (nsp, parser) = (self.nsp(), self.0.config.parser);
        let compressible = |frames: Frames| if compress { frames } else { frames.compress(false) };
        if let Delivery::EngineLog(engine) = &self.0.delivery {
            self.join_cluster();
            if engine.publish(socket, event, args, compress)? == LocalDelivery::ByLog {
                return Ok(());
            }
        }
        match &self.0.delivery {
            Delivery::LocalLog(log) => {
                let offset = log.next_offset();
                let frames = parser.encode_event_at(nsp, event, args, &offset.to_string())?;
                self.notify_outgoing(slice::from_ref(socket), event, args);
                log.send(socket, offset, compressible(frames))
            }
            Delivery::Direct | Delivery::EngineLog(_) => {
                parser.send_event(nsp, None, event, args, |message| {
                    self.notify_outgoing(slice::from_ref(socket), event, args);
                    let plain =
                        |message: OutgoingMessage<'_>| message.into_frames().compress(false).into();
                    socket.send(if compress { message } else { plain(message) })
                })?
            }
        }
    }

    /// Calls the recipients' listeners for outgoing events. Costs one load if there are none.
    pub(crate) fn notify_outgoing<T: Serialize + ?Sized>(
        &self,
        recipients: &[Arc<SocketInner>],
        event: &str,
        args: &T,
    ) {
        if !self.has_outgoing_listeners() || recipients.is_empty() {
            return;
        }
        let Ok(args) = event_args(event, args) else { return };
        let table = self.table();
        for recipient in recipients {
            let own = recipient.with_handlers(|own| own.outgoing.clone());
            let socket = Socket(recipient.clone());
            for listener in table.outgoing.iter().chain(own.iter()) {
                if catch_unwind(AssertUnwindSafe(|| (listener.handler)(&socket, &args))).is_err() {
                    tracing::error!(target: "socketio::socket", "a listener for outgoing events panicked");
                }
            }
        }
    }

    /// Runs an action after the events that were emitted before. Events wait only for an engine's
    /// log. Returns the action if too many are waiting.
    pub(crate) fn after_events<A>(&self, action: A) -> Result<(), A>
    where
        A: FnOnce() + Send + 'static,
    {
        match &self.0.delivery {
            Delivery::EngineLog(engine) => engine.membership().order().after_events(action),
            Delivery::Direct | Delivery::LocalLog(_) => {
                action();
                Ok(())
            }
        }
    }

    /// Like [`after_events`](Self::after_events), for actions that their caller limits.
    pub(crate) fn after_events_unlimited(&self, action: impl FnOnce() + Send + 'static) {
        match &self.0.delivery {
            Delivery::EngineLog(engine) => {
                engine.membership().order().after_events_unlimited(action)
            }
            Delivery::Direct | Delivery::LocalLog(_) => action(),
        }
    }

    /// Returns whether events may still be on their way when `emit` has returned.
    pub(crate) fn publishes_first(&self) -> bool {
        self.0.delivery.engine_log().is_some()
    }

    /// Restores the session that a client claims, if it can be recovered. The client's socket is a
    /// member of the namespace from then on. If the client is lost before it is let in, its session
    /// is kept together with `membership`.
    pub(crate) async fn claim(self, claim: Claim, membership: Lease) -> Option<ReturningSocket> {
        match &self.0.delivery {
            Delivery::Direct => None,
            Delivery::LocalLog(log) => {
                if let Some(handed_over) = log.take_over(&claim.pid, claim.began) {
                    // The previous connection may be stuck in a handler.
                    let timeout = self.0.config.cluster.request_timeout;
                    let _ = tokio::time::timeout(timeout, handed_over).await.ok()?;
                }
                Some(ReturningSocket::new(log.claim(&self, claim)?, membership))
            }
            Delivery::EngineLog(engine) => engine.restore(&self, claim, membership).await,
        }
    }

    /// Responds to another node whose client claims a session.
    pub(crate) async fn release(&self, request: HandoverRequest) -> Handover {
        match &self.0.delivery {
            Delivery::Direct | Delivery::LocalLog(_) => Handover::Unknown,
            Delivery::EngineLog(engine) => engine.release(request).await,
        }
    }

    /// Stores the sessions of all connected clients, because the node is about to stop.
    pub(crate) async fn store_sessions(&self) {
        if let Some(engine) = self.0.delivery.engine_log() {
            engine.store_sessions().await;
        }
    }

    /// Sends a returning client the events it missed and `connected`. Afterwards its socket is
    /// connected.
    pub(crate) fn resume(&self, socket: &SocketInner, connected: Frames) -> Resume {
        self.recovery_log().map_or(Resume::Impossible, |log| log.resume(socket, connected))
    }

    /// Removes a socket from the namespace. If `retain` is set and its session can be recovered,
    /// the session is kept, together with `membership`. Otherwise `membership` is returned.
    pub(crate) fn remove(
        &self,
        socket: &SocketInner,
        retain: bool,
        membership: Lease,
    ) -> Option<Lease> {
        let (Some(log), Some(recoverable), true) =
            (self.recovery_log(), &socket.recoverable, retain)
        else {
            let was_member = self.hub().remove_if(&socket.id, |member| socket.is(member));
            if let Some(log) = self.recovery_log() {
                log.remove_socket(socket);
            }
            if let Some(engine) = self.0.delivery.engine_log().filter(|_| was_member) {
                engine.forget(socket);
            }
            return Some(membership);
        };
        if !self.hub().get(&socket.id).is_some_and(|member| socket.is(&member)) {
            // Another socket has the session.
            log.remove_socket(socket);
            return Some(membership);
        }
        let engine = self.0.delivery.engine_log();
        let session = engine.map(|engine| engine.lease_session(socket, recoverable.pid().clone()));
        let hold_rooms = self.membership().is_some() && engine.is_none();
        log.retain(socket, recoverable, membership, hold_rooms);
        // Without a claim that waits for it, the session is stored.
        drop(recoverable.leave(session));
        None
    }
}

impl SocketInner {
    /// Sends frames that no log keeps, after the events that were emitted before them. `failed` is
    /// called if they cannot be sent when their turn comes. They take no place in the queue before
    /// that, so they are refused while it is full: a client that does not read would otherwise
    /// collect them without a limit.
    pub(crate) fn send_after_events(
        self: &Arc<Self>,
        frames: Frames,
        failed: impl FnOnce(&Self, EmitError) + Send + 'static,
    ) -> Result<(), EmitError> {
        if !self.namespace.publishes_first() {
            return self.send(frames.into());
        }
        if self.is_disconnected() {
            return Err(EmitError::Disconnected);
        }
        let (queued, max) =
            (self.client.handle.queued(), settings(&self.client.config.engine).max_queued);
        if queued.packets >= max.packets || queued.bytes >= max.bytes {
            self.client.counters.here().events.queue_full.one();
            return Err(EmitError::Full);
        }
        let socket = self.clone();
        let send = move || {
            if let Err(error) = socket.send(frames.into()) {
                failed(&socket, error);
            }
        };
        self.namespace.after_events(send).map_err(|_| ClusterError::QueueFull.into())
    }

    /// Records that the connection is lost. From now on, events are kept until the client returns.
    pub(crate) fn record_loss(&self) {
        if let Some(log) = self.namespace.recovery_log() {
            log.record_loss(self);
        }
    }

    /// Hands the session to a claim that waits for it. Called when the disconnection handlers have
    /// started.
    pub(crate) fn hand_over(&self) {
        if let Some(recoverable) = &self.recoverable {
            recoverable.hand_over();
        }
    }

    /// Changes the rooms of this socket. If the log of this node keeps the events, the change takes
    /// its place in the log's order.
    pub(crate) fn change_rooms<R>(self: &Arc<Self>, change: impl FnOnce() -> R) -> R {
        match &self.namespace.0.delivery {
            Delivery::LocalLog(log) => log.record_rooms(self, change),
            Delivery::Direct => change(),
            Delivery::EngineLog(engine) => {
                let result = change();
                engine.session_changed(self);
                result
            }
        }
    }

    /// Records that the state has changed which the session store keeps for a connected socket.
    pub(crate) fn session_changed(self: &Arc<Self>) {
        if let Some(engine) = self.namespace.0.delivery.engine_log() {
            engine.session_changed(self);
        }
    }
}
