//! Events to one socket, with modifiers.

use std::time::Duration;

use engineio_server::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::AckId;
use tokio::sync::oneshot;

use crate::{
    client::waiter::Waiter,
    error::{AckError, EmitError},
    socket::Socket,
};

/// An event to one socket under construction.
///
/// ```
/// use std::time::Duration;
/// use socketio_server::{AckError, Socket};
///
/// async fn ask(socket: &Socket) -> Result<String, AckError> {
///     let _ = socket.volatile().emit("cursor", &(3, 4));
///     socket.timeout(Duration::from_secs(5)).emit_with_ack("name?", &()).await
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Emitter<'a> {
    socket: &'a Socket,
    timeout: Option<Duration>,
    volatile: bool,
    compress: bool,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(socket: &'a Socket) -> Self {
        Self { socket, timeout: None, volatile: false, compress: true }
    }

    /// Sets how long to wait for the ack (default: the server's `ack_timeout`, 30 s).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Makes the event volatile: it is dropped, not queued, if the transport is not writable.
    pub fn volatile(self) -> Self {
        Self { volatile: true, ..self }
    }

    /// Sets whether the event may be compressed (default `true`). See [`Socket::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self { compress, ..self }
    }

    /// Sends the event. See [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is disconnected, its queue is full, or the event cannot be
    /// encoded. A volatile event that was dropped is not an error.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, args: &T) -> Result<(), EmitError> {
        let (socket, namespace) = (&self.socket.0, &self.socket.0.namespace);
        if self.volatile {
            let parser = socket.client.config.parser;
            let frames = parser.encode_event(namespace.nsp(), None, event, args)?;
            self.announce(event, args);
            if !socket.send_volatile(self.compressible(frames))? {
                return Ok(());
            }
        } else {
            namespace.send_event(socket, event, args, self.compress)?;
        }
        self.sent();
        Ok(())
    }

    /// Sends the event and waits for the ack. Dropping the future stops waiting for it.
    ///
    /// If [`Limits::max_pending_acks`](crate::Limits::max_pending_acks) acks of this client are
    /// already awaited, the event waits for room and is then sent. Waiting events keep the order of
    /// the calls, and waiting counts towards the timeout.
    ///
    /// # Errors
    ///
    /// See [`AckError`]. A volatile event that was dropped returns [`EmitError::Full`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        let (socket, client) = (&self.socket.0, &self.socket.0.client);
        let id = AckId::from(socket.namespace.next_ack_id());
        let nsp = self.socket.nsp();
        let frames = client.config.parser.encode_event(nsp, Some(id), event, args);
        let frames = self.compressible(frames.map_err(EmitError::from)?);
        let (sender, ack) = oneshot::channel();
        let timeout = self.timeout.unwrap_or(client.config.ack_timeout);
        let waiter = Waiter::One(sender);
        if self.volatile {
            client.expect_ack(nsp, id, timeout, waiter)?;
        } else {
            client.expect_ack_when_room(socket, id, timeout, waiter).await?;
        }
        self.announce(event, args);
        let pending = Pending { socket: self.socket, id };
        if !self.volatile {
            socket.send_after_events(frames, move |socket, error| {
                if let Some(waiter) = socket.client.forget(socket.namespace.nsp(), id) {
                    waiter.resolve(Err(error.into()));
                }
            })?;
        } else if !socket.send_volatile(frames)? {
            return Err(EmitError::Full.into());
        }
        self.sent();
        let ack = ack.await.unwrap_or(Err(AckError::Disconnected))?;
        drop(pending);
        Ok(ack.decode_ack()?)
    }

    fn sent(&self) {
        self.socket.0.client.counters.one(|stripe| &stripe.events.emitted);
    }

    fn compressible(&self, frames: Frames) -> Frames {
        if self.compress { frames } else { frames.compress(false) }
    }

    fn announce<T: Serialize + ?Sized>(&self, event: &str, args: &T) {
        let socket = std::slice::from_ref(&self.socket.0);
        self.socket.namespace().notify_outgoing(socket, event, args);
    }
}

/// Removes a pending ack from the table when it is dropped.
struct Pending<'a> {
    socket: &'a Socket,
    id: AckId,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        drop(self.socket.0.client.forget(self.socket.nsp(), self.id));
    }
}

impl Emitter<'_> {
    typed_emit! {
        /// Sends a typed event. See [`Socket::emit_event`].
        ///
        /// # Errors
        ///
        /// Returns the errors of [`emit`](Self::emit).
        fn emit_event(self) -> Result<(), EmitError>;

        /// Sends a typed event and waits for its ack. See [`Socket::emit_event_with_ack`].
        ///
        /// # Errors
        ///
        /// See [`AckError`].
        async fn emit_event_with_ack() -> Result<R, AckError>;
    }
}
