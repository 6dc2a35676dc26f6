//! One event to many sockets: encoded once, framed once.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use engineio_server::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{IntoRooms, Selection};
use socketio_parser::AckId;

use crate::{
    config::Overflow,
    error::{BroadcastAckError, EmitError},
    model::{Namespace, Socket, SocketInner},
    outgoing,
    waiter::{Collector, Waiter},
};

/// A broadcast in the making. A value: every modifier gives a new one, and it may be kept and used again.
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

impl Broadcast {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, selection: Selection::default(), without: None }
    }

    /// Leaves out the socket that sends.
    pub(crate) fn without(mut self, id: ByteString) -> Self {
        self.without = Some(id);
        self
    }

    /// The same broadcast, elsewhere.
    pub(crate) fn in_namespace(self, namespace: Namespace) -> Self {
        Self { namespace, ..self }
    }

    /// Adds rooms to reach. A socket that is in several of them gets the event once.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Adds rooms to leave out; a socket's id works too.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Only to sockets of this node.
    pub fn local(mut self) -> Self {
        self.selection.flags.local = true;
        self
    }

    /// Dropped for recipients whose transport is not writable, instead of queued.
    pub fn volatile(mut self) -> Self {
        self.selection.flags.volatile = true;
        self
    }

    /// Whether it may be compressed (default yes). See [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.selection.flags.compress = Some(compress);
        self
    }

    /// How long the answers may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.selection.flags.timeout = Some(timeout);
        self
    }

    /// Sends the event. It never waits: what happens to a recipient whose queue is full is the server's
    /// [`Overflow`] policy.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        let (nsp, parser) = (self.namespace.nsp(), self.namespace.0.config.parser);
        if let Some(recorder) = &self.namespace.0.recorder
            && !self.selection.flags.volatile
        {
            let offset = recorder.next_offset();
            let frames = parser.encode_event_at(nsp, event, args, &offset.to_string())?;
            let frames = self.compressible(frames);
            if outgoing::is_told(&self.namespace) {
                outgoing::tell(&self.namespace, &self.targets(), event, args);
            }
            let (selection, without) = (&self.selection, self.without.as_ref());
            for full in self.namespace.deliver_logged(recorder, selection, without, offset, frames)
            {
                self.overflowed(&full);
            }
            return Ok(());
        }
        let frames = self.compressible(parser.encode_event(nsp, None, event, args)?);
        let targets = self.targets();
        outgoing::tell(&self.namespace, &targets, event, args);
        for target in targets {
            self.deliver(&target, frames.clone());
        }
        Ok(())
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends the event and collects the answers of all recipients. The answers come in no particular order.
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`]: where some do not answer, the answers that came are inside.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        let nsp = self.namespace.nsp();
        let id = AckId::from(self.namespace.next_ack_id());
        let parser = self.namespace.0.config.parser;
        let frames = parser.encode_event(nsp, Some(id), event, args).map_err(EmitError::from)?;
        let frames = self.compressible(frames);
        let timeout = self.selection.flags.timeout;
        let patience = timeout.unwrap_or(self.namespace.0.config.ack_timeout);
        let targets = self.targets();
        let expected = targets.len();
        if expected == 0 {
            return Ok(Vec::new());
        }
        outgoing::tell(&self.namespace, &targets, event, args);
        let (collector, all) = Collector::new(expected);
        let mut pending = Pending { broadcast: self, id, targets: Vec::with_capacity(expected) };
        for target in targets {
            // A share that is not kept counts as unanswered.
            let waiter = Waiter::Many(collector.share());
            if target.client.expect_ack(nsp, id, patience, waiter).is_err() {
                continue;
            }
            if self.deliver(&target, frames.clone()) {
                pending.targets.push(target);
            } else {
                target.client.forget(nsp, id);
            }
        }
        // Each entry has its own deadline with its connection's driver, so this always comes.
        let _ = all.await;
        pending.targets.clear();
        let answers = collector.take();
        let responses: Vec<R> = answers.iter().filter_map(|answer| answer.decode().ok()).collect();
        match expected.saturating_sub(responses.len()) {
            0 => Ok(responses),
            missing => Err(BroadcastAckError::Partial { responses, missing }),
        }
    }

    /// Makes the selected sockets join rooms. A socket that is in as many rooms as it may stays as it is.
    pub fn sockets_join(&self, rooms: impl IntoRooms) {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        for target in self.targets() {
            let _ = Socket(target).join(&list[..]);
        }
    }

    /// Makes the selected sockets leave rooms.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        for target in self.targets() {
            Socket(target).leave(&list[..]);
        }
    }

    /// Disconnects the selected sockets; with `close`, their whole connections.
    pub fn disconnect_sockets(&self, close: bool) {
        for target in self.targets() {
            let socket = Socket(target);
            if close { socket.disconnect_all() } else { socket.disconnect() }
        }
    }

    /// The recipients, collected under the rooms' lock, which is released before anything is sent.
    fn targets(&self) -> Vec<Arc<SocketInner>> {
        let mut targets = Vec::new();
        self.namespace.hub().select(&self.selection, self.without.as_deref(), &mut targets);
        targets.retain(|target| target.is_connected());
        targets
    }

    /// Notes whether and how transports may compress it.
    fn compressible(&self, frames: Frames) -> Frames {
        match self.selection.flags.compress {
            Some(false) => frames.compress(false),
            _ if self.namespace.0.config.engine.compresses_messages() => frames.share(),
            _ => frames,
        }
    }

    /// Whether it was queued for this recipient.
    fn deliver(&self, target: &SocketInner, frames: Frames) -> bool {
        if self.selection.flags.volatile {
            return target.send_volatile(frames).unwrap_or(false);
        }
        let result = target.send(frames);
        if let Err(EmitError::Full) = result {
            self.overflowed(target);
        }
        result.is_ok()
    }

    fn overflowed(&self, target: &SocketInner) {
        tracing::debug!(target: "socketio::broadcast", session = %target.client, "a recipient's queue is full");
        if self.namespace.0.config.overflow == Overflow::Disconnect {
            target.client.handle.close(true);
        }
    }
}

/// Takes the acknowledgements of a broadcast out of the tables when nobody waits for them any more.
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
