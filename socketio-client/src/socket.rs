//! One namespace of a connection: what can be done with it.

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{Event, Nsp};
use tokio::sync::oneshot;

use crate::{
    emitter::Emitter,
    error::{AckError, ConnectError, DisconnectReason, EmitError},
    model::{Manager, Socket},
};

impl Socket {
    /// The socket's id, which the server has given it; none while it is not connected. Each connection has another one.
    pub fn id(&self) -> Option<String> {
        self.space.state().id.as_deref().map(str::to_owned)
    }

    /// The name of the namespace.
    pub fn nsp(&self) -> &Nsp {
        &self.space.nsp
    }

    /// The connection, which other namespaces may share.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Whether the server has granted the namespace, and the connection lives.
    pub fn is_connected(&self) -> bool {
        self.space.state().id.is_some()
    }

    /// Whether the socket is connected, or will be without being told to. Not so after
    /// [`disconnect`](Self::disconnect), or when the server has refused or disconnected it.
    pub fn is_active(&self) -> bool {
        self.space.state().active
    }

    /// Whether the last connection has taken up the session before it: the server has kept rooms and data, and has sent what
    /// was missed.
    pub fn is_recovered(&self) -> bool {
        self.space.state().recovered
    }

    /// Connects, if it is not so already, and waits until the server has granted the namespace.
    ///
    /// # Errors
    ///
    /// The first `connect_error`. Whether it is tried again in the background depends on the kind of
    /// [`ConnectError`]; this may be called again to wait for that.
    ///
    /// Dropping the future only ends the waiting: the socket stays active until it is told to [`disconnect`](Self::disconnect).
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let (sender, outcome) = oneshot::channel();
        {
            let mut state = self.space.state();
            if state.id.is_some() {
                return Ok(());
            }
            state.connecting.retain(|waiting| !waiting.is_closed());
            state.connecting.push(sender);
        }
        self.open();
        if self.manager.0.0.is_ended() {
            return Err(ConnectError::Stopped);
        }
        outcome.await.unwrap_or(Err(ConnectError::Stopped))
    }

    /// Connects, if it is not so already, and does not wait for it.
    pub fn open(&self) {
        self.space.state().active = true;
        self.manager.open();
    }

    /// Disconnects, and stops connecting. What was emitted before is sent first, if the socket is connected: the server is told
    /// only when it has read that, or after half of [`close_timeout`](crate::ClientConfig::close_timeout). What is emitted from
    /// now on waits until it is connected again. The connection ends with its last active socket.
    ///
    /// A program that ends should wait for [`closed`](crate::Manager::closed) first.
    ///
    /// None of the socket's events is handled any more; handlers that run go on. Those of `disconnect` are started soon
    /// after, by the connection's own task.
    pub fn disconnect(&self) {
        let waiting = {
            let mut state = self.space.state();
            if !std::mem::take(&mut state.active) {
                return;
            }
            state.leave = true;
            state.end();
            std::mem::take(&mut state.connecting)
        };
        for waiting in waiting {
            let _ = waiting.send(Err(ConnectError::Closed(DisconnectReason::IoClientDisconnect)));
        }
        self.manager.0.0.signal.asked();
    }

    /// Sends an event to the server. A tuple (or array) is a list of arguments, anything else is one argument, `()` is none.
    /// Binary anywhere inside goes as attachments.
    ///
    /// While the socket is not connected, the event waits; it is sent before the handlers of `connect` run.
    ///
    /// # Errors
    ///
    /// As much is waiting as [`SocketConfig`](crate::SocketConfig) allows, or the event cannot be encoded. Nothing was queued
    /// then.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for the server's answer, up to [`ack_timeout`](crate::SocketConfig::ack_timeout).
    ///
    /// # Errors
    ///
    /// See [`AckError`]. An event whose time is over before it could be sent is not sent.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        self.emitter().emit_with_ack(event, args).await
    }

    /// Sends a typed event.
    ///
    /// ```no_run
    /// use socketio_client::{EmitError, Event, Socket};
    ///
    /// const SAY: Event<(String, u32)> = Event::new("say");
    ///
    /// fn tell(socket: &Socket) -> Result<(), EmitError> {
    ///     socket.emit_event(SAY, &("hello".to_owned(), 3))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Sends a typed event and waits for the answer that its contract promises.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<R, AckError> {
        self.emit_with_ack(event.name(), args).await
    }

    /// Sets how long the answer to the next event may take.
    pub fn timeout(&self, timeout: Duration) -> Emitter<'_> {
        self.emitter().timeout(timeout)
    }

    /// The next event is dropped, not queued, where the transport is not writable. Where it is, but the namespace is not
    /// granted yet, the event waits for that.
    pub fn volatile(&self) -> Emitter<'_> {
        self.emitter().volatile()
    }

    /// Whether the next event may be compressed (default yes). No transport of this client compresses yet; no is for what was
    /// compressed before, and for secrets beside text that others choose.
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        self.emitter().compress(compress)
    }

    /// Waits until the queue of what is to be sent has room again for what [`EmitError::Full`] refused. While there is no
    /// connection, that is until there is one.
    pub async fn ready(&self) {
        loop {
            let room = self.space.room.notified();
            let ready = {
                let mut state = self.space.state();
                // Not lazily: both forget what they refused.
                state.outbox.is_ready() & state.retries.is_ready()
            };
            if ready || self.manager.0.0.is_ended() {
                return;
            }
            room.await;
        }
    }

    fn emitter(&self) -> Emitter<'_> {
        Emitter::new(self)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("nsp", &self.space.nsp)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
