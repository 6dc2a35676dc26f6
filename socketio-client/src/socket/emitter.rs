//! Sending an event to the server.

use std::time::Duration;

use engineio_parser::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::{AckId, Args, Nsp};
use tokio::{sync::oneshot, time::timeout_at};

use super::{
    Socket,
    outbox::{Awaited, Outgoing},
    retries::Retried,
};
use crate::{
    error::{AckError, EmitError},
    time::after,
};

pub(crate) type AckResult = Result<Args, AckError>;

/// The receiver of an ack. Dropping the sender tells the caller that no ack will come.
#[derive(Debug)]
pub(crate) enum Waiter {
    Caller(oneshot::Sender<AckResult>),
    /// The queue of events that are sent until they are acknowledged.
    Retries {
        nsp: Nsp,
        /// The time limit of each attempt.
        timeout: Duration,
    },
}

/// An event to the server, with modifiers.
///
/// ```
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let io = socketio_server::Server::new();
/// # io.on("name?", || async { "ann" });
/// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
/// let socket = socketio_client::connect(&url).await?;
/// socket.volatile().emit("cursor", &(3, 4))?;
/// let timeout = Duration::from_secs(5);
/// let name: String = socket.timeout(timeout).emit_with_ack("name?", &()).await?;
/// assert_eq!(name, "ann");
/// # Ok(()) }
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
    pub(super) fn new(socket: &'a Socket) -> Self {
        Self { socket, timeout: None, volatile: false, compress: true }
    }

    /// Sets how long to wait for the ack (default:
    /// [`ack_timeout`](crate::SocketConfig::ack_timeout), 30 s).
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
    /// Returns an error if the queue is full, or if the event cannot be encoded or is larger than
    /// the server accepts. A volatile event that was dropped is not an error.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, args: &T) -> Result<(), EmitError> {
        if self.retries() {
            return self.queue_retried(event, args, None);
        }
        let frames = self.encode(None, event, args)?;
        if self.is_dropped() {
            return Ok(());
        }
        self.queue(frames, None)
    }

    /// Sends the event and waits for the ack. Dropping the future stops waiting. If the event is
    /// still queued, it is then not sent, unless the socket
    /// [retries](crate::SocketConfig::retries).
    ///
    /// # Errors
    ///
    /// See [`AckError`]. For a volatile event that was dropped, returns [`AckError::Disconnected`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        let (sender, ack) = oneshot::channel();
        let args = if self.retries() {
            self.queue_retried(event, args, Some(Waiter::Caller(sender)))?;
            // Each attempt has its own deadline.
            ack.await.unwrap_or(Err(AckError::Disconnected))?
        } else {
            let deadline = after(self.ack_timeout());
            let id = self.socket.slot.next_ack();
            let frames = self.encode(Some(id), event, args)?;
            if self.is_dropped() {
                return Err(AckError::Disconnected);
            }
            let waiter = Waiter::Caller(sender);
            self.queue(frames, Some(Awaited { id, deadline, waiter }))?;
            let mut pending = Pending { socket: self.socket, id, done: false };
            let outcome = timeout_at(deadline.into(), ack).await;
            pending.done = outcome.is_ok();
            match outcome {
                Ok(ack) => ack.unwrap_or(Err(AckError::Disconnected))?,
                Err(_) => return Err(AckError::Timeout),
            }
        };
        Ok(args.decode_ack()?)
    }

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

    fn retries(&self) -> bool {
        self.socket.slot.config().retries.is_some() && !self.volatile
    }

    fn ack_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.socket.slot.config().ack_timeout)
    }

    /// Returns whether the event is volatile and there is no open transport.
    fn is_dropped(&self) -> bool {
        self.volatile && !self.socket.manager.shared().is_open()
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<Frames, EmitError> {
        let frames = self.socket.slot.encode_event(id, event, args)?;
        Ok(if self.compress { frames } else { frames.compress(false) })
    }

    fn queue(&self, frames: Frames, ack: Option<Awaited<Waiter>>) -> Result<(), EmitError> {
        let Socket { slot, manager } = self.socket;
        manager.shared().check(&frames)?;
        slot.notify_outgoing(&frames);
        slot.push(Outgoing { frames, ack, volatile: self.volatile, epoch: None })?;
        manager.shared().signal().packet_queued();
        Ok(())
    }

    fn queue_retried<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
        waiter: Option<Waiter>,
    ) -> Result<(), EmitError> {
        let Socket { slot, manager } = self.socket;
        let id = slot.next_ack();
        let frames = self.encode(Some(id), event, args)?;
        manager.shared().check(&frames)?;
        slot.notify_outgoing(&frames);
        let retried = Retried { frames, id, timeout: self.ack_timeout(), waiter, sent: 0 };
        slot.push_retried(retried)?;
        manager.shared().signal().packet_queued();
        Ok(())
    }
}

/// Unregisters an ack when its caller stops waiting, and removes the event if it is still queued.
struct Pending<'a> {
    socket: &'a Socket,
    id: AckId,
    done: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.socket.slot.abandon_ack(self.id);
            self.socket.manager.shared().signal().request_made();
        }
    }
}
