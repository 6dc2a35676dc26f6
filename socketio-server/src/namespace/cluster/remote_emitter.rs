//! Events to one socket of any node.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::Args;

use crate::{
    error::{AckError, BroadcastAckError, EmitError},
    namespace::broadcast::Broadcast,
};

/// An event to a [`RemoteSocket`](crate::RemoteSocket), with modifiers.
///
/// ```
/// use std::time::Duration;
/// use socketio_server::{AckError, RemoteSocket};
///
/// async fn ask(socket: &RemoteSocket) -> Result<String, AckError> {
///     let _ = socket.volatile().emit("cursor", &(3, 4));
///     socket.timeout(Duration::from_secs(5)).emit_with_ack("name?", &()).await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RemoteEmitter {
    /// A broadcast to the room of the socket's id.
    broadcast: Broadcast,
}

impl RemoteEmitter {
    pub(super) fn new(broadcast: Broadcast) -> Self {
        Self { broadcast }
    }

    /// Sets how long to wait for the ack (default: the server's `ack_timeout`, 30 s).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { broadcast: self.broadcast.timeout(timeout) }
    }

    /// Makes the event volatile: it is dropped, not queued, if the transport is not writable.
    pub fn volatile(self) -> Self {
        Self { broadcast: self.broadcast.volatile() }
    }

    /// Sets whether the event may be compressed (default `true`). See
    /// [`Socket::compress`](crate::Socket::compress).
    pub fn compress(self, compress: bool) -> Self {
        Self { broadcast: self.broadcast.compress(compress) }
    }

    /// Sends the event. See [`RemoteSocket::emit`](crate::RemoteSocket::emit).
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded or the queue to the other nodes is full.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, args: &T) -> Result<(), EmitError> {
        self.broadcast.emit(event, args)
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// See [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends the event and waits for its ack.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        let one = |acks: Vec<Args>| acks.into_iter().next();
        let ack = match self.broadcast.ask(event, args, |ack| Some(ack.clone())).await {
            Ok(acks) => one(acks).ok_or(AckError::Disconnected),
            Err(BroadcastAckError::Emit(error)) => Err(error.into()),
            Err(BroadcastAckError::Partial { responses, .. }) => {
                one(responses).ok_or(AckError::Timeout)
            }
        };
        Ok(ack?.decode_ack()?)
    }

    typed_emit! {
        /// Sends a typed event.
        ///
        /// # Errors
        ///
        /// See [`emit`](Self::emit).
        fn emit_event(self) -> Result<(), EmitError>;

        /// Sends a typed event and waits for its ack.
        ///
        /// # Errors
        ///
        /// See [`AckError`].
        async fn emit_event_with_ack() -> Result<R, AckError>;
    }
}
