//! Sending an event to the server.

use std::time::Duration;

use engineio_parser::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{AckId, Event};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    error::{AckError, EmitError},
    model::Socket,
    outbox::{Awaited, Outgoing},
    outgoing,
    retries::Retried,
    waiter::{AckResult, Waiter},
};

/// An event to the server, with modifiers.
///
/// ```no_run
/// use std::time::Duration;
/// use socketio_client::{AckError, Socket};
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

    /// Sets how long the ack may take.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Drops the event, instead of queueing it, if the transport is not writable.
    pub fn volatile(self) -> Self {
        Self { volatile: true, ..self }
    }

    /// Sets whether the event may be compressed (default yes). See [`Socket::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self { compress, ..self }
    }

    /// Sends the event. See [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// The queue is full, or the event cannot be encoded. Dropping a volatile event is not an
    /// error.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, args: &T) -> Result<(), EmitError> {
        if self.retries() {
            return self.queue_retried(event, args, None);
        }
        let frames = self.encode(None, event, args)?;
        if self.volatile && !self.socket.manager.0.0.is_open() {
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
    /// See [`AckError`]. A volatile event that was dropped gets no ack: [`AckError::Disconnected`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        let (sender, answer) = oneshot::channel();
        let args = if self.retries() {
            self.queue_retried(event, args, Some(Waiter::Caller(sender)))?;
            // Each attempt has its own deadline.
            answer.await.unwrap_or(Err(AckError::Disconnected))?
        } else {
            let deadline = self.deadline();
            let id = self.socket.slot.next_ack();
            let frames = self.encode(Some(id), event, args)?;
            if self.volatile && !self.socket.manager.0.0.is_open() {
                return Err(AckError::Disconnected);
            }
            let waiter = Waiter::Caller(sender);
            self.queue(frames, Some(Awaited { id, deadline: deadline.into_std(), waiter }))?;
            self.answer(id, deadline, answer).await?
        };
        Ok(args.decode_answer()?)
    }

    /// Sends a typed event. See [`Socket::emit_event`].
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Sends a typed event and waits for its ack. See [`Socket::emit_event_with_ack`].
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<R, AckError> {
        self.emit_with_ack(event.name(), args).await
    }

    fn retries(&self) -> bool {
        self.socket.slot.config.retries.is_some() && !self.volatile
    }

    fn ack_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.socket.slot.config.ack_timeout)
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let far = Duration::from_secs(10 * 365 * 86_400);
        now.checked_add(self.ack_timeout()).unwrap_or_else(|| now + far)
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<Frames, EmitError> {
        let slot = &self.socket.slot;
        let frames = slot.parser.encode_event(&slot.nsp, id, event, args)?;
        Ok(if self.compress { frames } else { frames.compress(false) })
    }

    fn queue(&self, frames: Frames, ack: Option<Awaited<Waiter>>) -> Result<(), EmitError> {
        self.check_ended()?;
        self.socket.manager.0.0.check_size(&frames)?;
        self.announce(&frames);
        let packet = Outgoing { frames, ack, volatile: self.volatile, epoch: None };
        let refused = self.socket.slot.state().outbox.push(packet);
        refused.map_err(|_| EmitError::Full)?;
        self.socket.manager.0.0.signal.packet_queued();
        Ok(())
    }

    fn queue_retried<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
        waiter: Option<Waiter>,
    ) -> Result<(), EmitError> {
        self.check_ended()?;
        let slot = &self.socket.slot;
        let id = slot.next_ack();
        let frames = self.encode(Some(id), event, args)?;
        self.socket.manager.0.0.check_size(&frames)?;
        self.announce(&frames);
        let retried = Retried { frames, id, timeout: self.ack_timeout(), waiter, sent: 0 };
        let refused = slot.state().retries.push(retried);
        refused.map_err(|_| EmitError::Full)?;
        self.socket.manager.0.0.signal.packet_queued();
        Ok(())
    }

    fn check_ended(&self) -> Result<(), EmitError> {
        if self.socket.manager.0.0.is_ended() { Err(EmitError::Stopped) } else { Ok(()) }
    }

    async fn answer(
        &self,
        id: AckId,
        deadline: Instant,
        answer: oneshot::Receiver<AckResult>,
    ) -> AckResult {
        let mut pending = Pending { socket: self.socket, id, done: false };
        let answer = timeout_at(deadline, answer).await;
        pending.done = answer.is_ok();
        match answer {
            Ok(answer) => answer.unwrap_or(Err(AckError::Disconnected)),
            Err(_) => Err(AckError::Timeout),
        }
    }

    fn announce(&self, frames: &Frames) {
        let slot = &self.socket.slot;
        if slot.has_outgoing.load(std::sync::atomic::Ordering::Relaxed) {
            outgoing::notify_listeners(slot, frames);
        }
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
        if self.done {
            return;
        }
        let removed = {
            let mut state = self.socket.slot.state();
            let removed = state.outbox.remove(self.id);
            if removed.is_none() {
                state.abandoned_acks.push(self.id);
            }
            removed
        };
        if removed.is_some() {
            self.socket.slot.room.notify_waiters();
        }
        drop(removed);
        self.socket.manager.0.0.signal.request_made();
    }
}
