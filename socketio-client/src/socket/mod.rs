//! One namespace of a connection.

mod ack;
mod emitter;
mod events;
pub(crate) mod handlers;
mod listeners;
mod next;
mod outbox;
mod retries;
mod slot;

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::Nsp;

pub use self::{
    ack::Ack,
    emitter::Emitter,
    events::{Events, ReceivedEvent},
    next::Next,
};
pub(crate) use self::{
    ack::Responder,
    emitter::{AckResult, Waiter},
    outbox::{Awaited, Outgoing},
    slot::{NamespaceSlot, SlotRequests},
};
use crate::{
    error::{AckError, ConnectError, DisconnectReason, EmitError},
    manager::Manager,
};

/// One namespace of a connection, with its events, handlers and acks. A clone is another handle of
/// the same socket.
///
/// The socket lives as long as its [`Manager`] has handles, and a socket is such a handle. A
/// handler should take the `Socket` as an argument. A handler that captures a `Socket` keeps the
/// connection alive forever.
///
/// ```
/// use socketio_client::{Data, Socket};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let io = socketio_server::Server::new();
/// # io.of("/chat").on("users?", || async { vec!["ann".to_owned()] });
/// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
/// let socket = socketio_client::connect(&format!("{url}/chat")).await?;
/// socket.on("said", |Data(text): Data<String>| async move { println!("{text}") });
/// socket.on("id?", |socket: Socket| async move { socket.id().unwrap_or_default() }); // the ack
/// socket.emit("say", "hello")?;
/// let users: Vec<String> = socket.emit_with_ack("users?", &()).await?;
/// assert_eq!(users, ["ann"]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Socket {
    slot: Arc<NamespaceSlot>,
    manager: Manager,
}

impl Socket {
    pub(crate) fn new(slot: Arc<NamespaceSlot>, manager: Manager) -> Self {
        Self { slot, manager }
    }

    /// Marks the queued packets as those of a connection that ends.
    #[cfg(test)]
    pub(crate) fn mark_end(&self) {
        self.slot.mark_end();
    }

    /// Returns whether the state of the namespace is locked.
    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.slot.is_locked()
    }

    /// Returns the id that the server gave to the socket, or `None` while it is not connected. Each
    /// connection has a new id, unless the session [was recovered](Self::is_recovered).
    pub fn id(&self) -> Option<String> {
        self.slot.id().as_deref().map(str::to_owned)
    }

    /// Returns the name of the namespace.
    pub fn nsp(&self) -> &Nsp {
        self.slot.nsp()
    }

    /// Returns the manager of the connection, which other namespaces may share.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Returns whether the server has accepted the socket and the connection is alive.
    pub fn is_connected(&self) -> bool {
        self.slot.id().is_some()
    }

    /// Returns whether the socket is connected or will connect by itself. It is inactive after
    /// [`disconnect`](Self::disconnect), and after the server has refused or disconnected it.
    pub fn is_active(&self) -> bool {
        self.slot.request().is_open()
    }

    /// Returns whether the last connection recovered the previous session. The server has then kept
    /// the socket's id, rooms and data, and has sent the missed events.
    pub fn is_recovered(&self) -> bool {
        self.slot.is_recovered()
    }

    /// Connects, unless the socket is connected, and waits until the server has accepted the
    /// socket.
    ///
    /// # Errors
    ///
    /// Returns the error of the first attempt (`connect_error` in Node). Whether the client retries
    /// in the background depends on the kind of [`ConnectError`]. Call this again to wait for the
    /// next attempt.
    ///
    /// Dropping the future only stops waiting. The socket stays active until
    /// [`disconnect`](Self::disconnect) is called.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let Some(outcome) = self.slot.await_connection() else { return Ok(()) };
        self.open();
        if self.manager.shared().is_ended() {
            return Err(ConnectError::Stopped);
        }
        outcome.await.unwrap_or(Err(ConnectError::Stopped))
    }

    /// Waits until the socket is connected. Unlike [`connect`](Self::connect), it does not request
    /// a connection, and it waits as long as the client tries again.
    ///
    /// ```
    /// use socketio_client::{ConnectError, Manager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = socketio_server::Server::new();
    /// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
    /// let socket = Manager::new(&url)?.socket("/"); // connects by itself
    /// socket.connected().await?;
    /// assert!(socket.is_connected());
    /// socket.disconnect();
    /// assert!(matches!(socket.connected().await, Err(ConnectError::Inactive)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ConnectError::Inactive`] if no connection was requested. Otherwise returns the
    /// error of the last attempt, as soon as no attempt follows: the server has refused or
    /// disconnected the socket, the application has disconnected it, the manager was closed, or the
    /// [`Reconnection`](crate::Reconnection) policy allows no further attempt.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let mut last = ConnectError::Inactive;
        loop {
            let Some(mut outcome) = self.slot.await_connection() else { return Ok(()) };
            if self.manager.shared().is_ended() {
                return Err(ConnectError::Stopped);
            }
            if !self.is_active() {
                return Err(last);
            }
            // Whichever comes first. An active socket without a connection has given up.
            let mut closed = pin!(self.manager.closed());
            let outcome = poll_fn(|cx| match Pin::new(&mut outcome).poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending => closed.as_mut().poll(cx).map(|()| None),
            });
            last = match outcome.await {
                Some(Ok(Ok(()))) => return Ok(()),
                Some(Ok(Err(error))) => error,
                Some(Err(_)) => return Err(ConnectError::Stopped),
                None => return Err(last),
            };
        }
    }

    /// Connects, unless the socket is connected, and returns without waiting.
    pub fn open(&self) {
        self.slot.request_join();
        self.manager.open();
    }

    /// Disconnects, and stops connecting. Events emitted before are sent first, if the socket is
    /// connected. The client sends DISCONNECT after the server has read them, or after half of
    /// [`close_timeout`](crate::ClientConfig::close_timeout). Events emitted after this call wait
    /// for the next connection. The connection closes with its last active socket.
    ///
    /// DISCONNECT ends the session, so the next connection is not a recovered one. A disconnect
    /// while the connection is lost sends nothing. The session then may still be recovered.
    ///
    /// With [`retries`](crate::SocketConfig::retries), only the first event of the queue is sent,
    /// as in Node. The others wait for the next connection. To have them all delivered, wait for
    /// their acks before this call.
    ///
    /// Before a program ends, it should wait for [`closed`](crate::Manager::closed).
    ///
    /// The socket starts no more event handlers. Running handlers continue. The connection's task
    /// starts the `disconnect` handlers soon after.
    pub fn disconnect(&self) {
        let Some(waiting) = self.slot.request_leave() else { return };
        for waiting in waiting {
            let _ = waiting.send(Err(ConnectError::Closed(DisconnectReason::IoClientDisconnect)));
        }
        self.manager.shared().signal().request_made();
    }

    /// Sends an event to the server. A tuple (or array) is a list of arguments, `()` is an empty
    /// list, and any other value is one argument. Binary data may be nested anywhere and is sent as
    /// attachments.
    ///
    /// While the socket is not connected, the event waits. It is sent before the `connect` handlers
    /// run.
    ///
    /// ```no_run
    /// use serde_json::json;
    /// use socketio_client::{Binary, EmitError, Socket};
    ///
    /// fn send(socket: &Socket, image: Binary) -> Result<(), EmitError> {
    ///     socket.emit("say", "hello")?; // one argument
    ///     socket.emit("move", &(3, 4))?; // two arguments
    ///     socket.emit("done", &())?; // no argument
    ///     socket.emit("image", &(json!({ "name": "a.png" }), image)) // JSON and binary
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the queue is full ([`SocketConfig`](crate::SocketConfig) sets its
    /// limits), or if the event cannot be encoded or is larger than the server accepts. In each
    /// case nothing is queued.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        Emitter::new(self).emit(event, args)
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for the server's ack, up to
    /// [`ack_timeout`](crate::SocketConfig::ack_timeout) (30 s). The type of the ack is the type
    /// parameter `R`: a tuple decodes a list of arguments, any other type a single argument.
    ///
    /// ```no_run
    /// # async fn run(socket: socketio_client::Socket) -> Result<(), socketio_client::AckError> {
    /// let users: Vec<String> = socket.emit_with_ack("users?", &()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AckError`]. An event that times out before it could be sent is never sent.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        Emitter::new(self).emit_with_ack(event, args).await
    }

    typed_emit! {
        /// Sends a typed event.
        ///
        /// ```
        /// use socketio_client::{Event, Manager};
        ///
        /// const SAY: Event<(String, u32)> = Event::new("say");
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let socket = Manager::new("http://localhost:3000")?.socket("/");
        /// socket.emit_event(SAY, &("hello".to_owned(), 3))?; // waits for the connection
        /// # Ok(()) }
        /// ```
        ///
        /// # Errors
        ///
        /// Returns the errors of [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;

        /// Sends a typed event and waits for its ack, whose type the [`Event`] fixes.
        ///
        /// # Errors
        ///
        /// See [`AckError`].
        async fn emit_event_with_ack() -> Result<R, AckError>;
    }

    /// Sets how long to wait for the ack of the next event (default:
    /// [`ack_timeout`](crate::SocketConfig::ack_timeout), 30 s).
    pub fn timeout(&self, timeout: Duration) -> Emitter<'_> {
        Emitter::new(self).timeout(timeout)
    }

    /// Makes the next event volatile: it is dropped, not queued, if the transport is not writable.
    /// If the transport is writable but the server has not accepted the socket yet, the event waits
    /// for that.
    pub fn volatile(&self) -> Emitter<'_> {
        Emitter::new(self).volatile()
    }

    /// Sets whether the next event may be compressed (default `true`). No transport of this client
    /// compresses yet, so this has no effect. Pass `false` for data that is already compressed, and
    /// for secrets that are sent together with text that other users can choose.
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        Emitter::new(self).compress(compress)
    }

    /// Waits until the outgoing queue has room for the event that [`EmitError::Full`] refused.
    /// Without a connection, it waits until there is one.
    pub async fn ready(&self) {
        self.slot.ready(|| self.manager.shared().is_ended()).await;
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("nsp", self.slot.nsp())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
