//! Methods of a socket: one client in one namespace.

pub(crate) mod ack;
pub(crate) mod data;
pub(crate) mod emitter;
pub(crate) mod inner;
pub(crate) mod reliable;
pub(crate) mod stored;

use std::{fmt, sync::Arc, time::Duration};

use engineio_server::{Handle, Handshake};
use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{IntoRooms, Room};
use socketio_core::typed_emit;
use socketio_parser::{Event, Nsp};

use crate::{
    client::{CLOSE, SOCKETS_LEFT},
    error::{AckError, EmitError, HandlerError, JoinError},
    handlers::{
        DisconnectContext, EventContext, Handler, Registration, TypedHandler, erase, erase_typed,
        extractors::decode_auth, table::Listener,
    },
    namespace::{Namespace, broadcast::Broadcast, hub::RoomLimits},
    socket::{
        emitter::Emitter,
        inner::{Leave, SocketInner},
    },
};

/// A client in a namespace. A clone costs one reference count.
///
/// Handlers take it as an argument. It may be stored and used from any task. Sending to a socket
/// that is disconnected fails with [`EmitError::Disconnected`].
///
/// ```
/// use socketio_server::{Data, Server, Socket};
///
/// let io = Server::new();
/// io.on_connection(|socket: Socket| async move {
///     socket.join("lobby")?;
///     socket.to("lobby").emit("joined", socket.id())?; // to the others
///     let name: String = socket.emit_with_ack("name?", &()).await?;
///     socket.on("rename", |socket: Socket, Data(name): Data<String>| async move {
///         socket.emit("renamed", &name)?;
///         Ok(())
///     });
///     socket.emit("welcome", &(name, 1))?;
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

impl Socket {
    /// Returns the socket's id: 20 characters of base64url. Every connection to a namespace gets a
    /// new id, unless the client [recovers](Self::recovered) its session.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the name of the namespace.
    pub fn nsp(&self) -> &Nsp {
        self.0.namespace.nsp()
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Returns a parameter of the namespace's name, as defined by its
    /// [pattern](crate::Server::of_pattern).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.namespace.param(name)
    }

    /// Returns whether the socket has been connected to the namespace and still is.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Returns the HTTP request that opened the connection: headers, query, address and time.
    pub fn handshake(&self) -> &Handshake {
        self.0.client.handle.handshake()
    }

    /// Returns the Engine.IO session, which all namespaces of the connection share.
    pub fn conn(&self) -> &Handle {
        &self.0.client.handle
    }

    /// Decodes the data that the client sent with its CONNECT packet (`auth` in the JavaScript
    /// client). If the client sent no data, `{}` is decoded, as in Node, or `null` if the type
    /// cannot be decoded from `{}`.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use socketio_server::{Server, Socket};
    ///
    /// #[derive(Deserialize)]
    /// struct Credentials { token: String }
    ///
    /// let io = Server::new();
    /// io.use_(|socket: Socket| async move {
    ///     let credentials: Credentials = socket.auth()?; // otherwise "invalid auth"
    ///     println!("token of {} bytes", credentials.token.len());
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the data is of another type. The message for the client is "invalid
    /// auth".
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        decode_auth(self.0.auth.as_deref())
    }

    /// Sends an event to the client. A tuple or array is a list of arguments, `()` is an empty
    /// list, and any other value is one argument. Binary data at any depth is sent as attachments.
    ///
    /// ```
    /// use serde::Serialize;
    /// use socketio_server::{Binary, EmitError, Socket};
    ///
    /// #[derive(Serialize)]
    /// struct Picture { name: String, data: Binary }
    ///
    /// fn send(socket: &Socket, picture: &Picture) -> Result<(), EmitError> {
    ///     socket.emit("picture", picture)?; // one argument with an attachment
    ///     socket.emit("moved", &(3, 4))?; // two arguments
    ///     socket.emit("done", &()) // no argument
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is disconnected, its queue is full, or the event cannot be
    /// encoded. In each case the event was not sent.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// See [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for the client's ack, at most for the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout) (30 s). The type of the ack is the type
    /// parameter `R`: a tuple decodes a list of arguments, any other type a single argument.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::{AckError, Socket};
    ///
    /// async fn name(socket: &Socket) -> Option<String> {
    ///     match socket.timeout(Duration::from_secs(5)).emit_with_ack("name?", &()).await {
    ///         Ok(name) => Some(name),
    ///         Err(AckError::Refused { message, .. }) => {
    ///             println!("the client refused: {message}");
    ///             None
    ///         }
    ///         Err(_) => None, // no ack in time, disconnected, or an ack of another type
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AckError`]. There is exactly one outcome, after the timeout at the latest.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        self.emitter().emit_with_ack(event, args).await
    }

    /// Sets how long to wait for the ack of the next event (default: the server's `ack_timeout`, 30
    /// s).
    pub fn timeout(&self, timeout: Duration) -> Emitter<'_> {
        self.emitter().timeout(timeout)
    }

    /// Makes the next event volatile: it is dropped, not queued, if the transport is not writable.
    pub fn volatile(&self) -> Emitter<'_> {
        self.emitter().volatile()
    }

    /// Sets whether the next event may be compressed (default `true`). Whether the transport
    /// compresses at all depends on `http_compression` and `per_message_deflate` of
    /// [`EngineConfig`](crate::EngineConfig). Turn compression off for data that is compressed
    /// already, and for secrets that are sent together with text that other users can choose.
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        self.emitter().compress(compress)
    }

    fn emitter(&self) -> Emitter<'_> {
        Emitter::new(self)
    }

    /// Broadcasts to all sockets of the namespace except this one.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("draw", |socket: Socket, Data((x, y)): Data<(i32, i32)>| async move {
    ///     socket.broadcast().volatile().emit("drawn", &(x, y))?;
    ///     Ok(())
    /// });
    /// ```
    pub fn broadcast(&self) -> Broadcast {
        self.0.namespace.broadcast().without(self.0.id.clone())
    }

    /// Broadcasts to rooms, except to this socket. An empty list reaches no socket.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// Does the same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast {
        self.to(rooms)
    }

    /// Broadcasts to all sockets except this one and those in `rooms`.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Broadcasts on this node only, except to this socket.
    pub fn local(&self) -> Broadcast {
        self.broadcast().local()
    }

    /// Joins one or more rooms.
    ///
    /// ```
    /// use socketio_server::{Data, HandlerError, JoinError, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("enter", |socket: Socket, Data(room): Data<String>| async move {
    ///     match socket.join(&*room) {
    ///         Ok(()) => Ok(socket.rooms().len()),
    ///         Err(JoinError::TooManyRooms { limit }) => {
    ///             Err(HandlerError::public(format!("at most {limit} rooms")))
    ///         }
    ///         Err(error) => Err(error.into()),
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is disconnected, is already in the maximum number of rooms,
    /// or if a room's name is longer than [`max_room_name`](crate::ServerConfig::max_room_name).
    /// Rooms listed before the refused one have been joined.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), JoinError> {
        if self.0.is_disconnected() {
            return Err(JoinError::Disconnected);
        }
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        let (hub, config) = (self.0.namespace.hub(), &self.0.client.config);
        let limits = RoomLimits { count: config.max_rooms, name: config.max_room_name };
        self.0.change_rooms(|| hub.join(&self.0.id, list, limits))
    }

    /// Leaves one or more rooms. Does nothing if the socket is disconnected, because it has left
    /// all rooms then.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        if self.0.is_member() {
            self.0.change_rooms(|| self.0.namespace.hub().leave(&self.0.id, &list));
        }
    }

    /// Leaves all rooms except the one named after the socket's id.
    pub fn leave_all(&self) {
        if self.0.is_member() {
            self.0.change_rooms(|| self.0.namespace.hub().leave_all(&self.0.id));
        }
    }

    /// Returns the rooms of the socket. The first is the one named after its id.
    pub fn rooms(&self) -> Vec<Room> {
        if self.0.is_member() { self.0.namespace.hub().rooms_of(&self.0.id) } else { Vec::new() }
    }

    /// Adds a handler for an event of this socket. The namespace's handlers of the event run first.
    pub fn on<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| table.add(event, Listener::new(erase(handler))))
    }

    /// Adds a handler for a typed event of this socket.
    pub fn handle<A, R, K>(
        &self,
        event: Event<A, R>,
        handler: impl TypedHandler<Socket, A, R, K>,
    ) -> Registration<'_, Self>
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.register(|table| table.add(event.name(), Listener::new(erase_typed(handler))))
    }

    /// Adds a handler that runs when this socket is about to be disconnected and is still in its
    /// rooms.
    pub fn on_disconnecting<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.disconnecting))
    }

    /// Adds a handler that runs after this socket was disconnected.
    pub fn on_disconnect<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.disconnect))
    }

    /// Disconnects the socket from its namespace. The connection and its other namespaces remain.
    ///
    /// From now on no event is sent to the socket, and none of its events is handled. Its
    /// disconnection handlers run shortly afterwards, in the connection's own task. In a middleware
    /// this refuses the client. If events are published before delivery
    /// ([`Recovery`](crate::Recovery)), the socket is disconnected only after the events emitted
    /// before this call have been sent.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("log out", |socket: Socket, Data(everywhere): Data<bool>| async move {
    ///     if everywhere { socket.close_connection() } else { socket.disconnect() }
    /// });
    /// ```
    pub fn disconnect(&self) {
        self.0.leave_after_events(Leave::Namespace, |socket| {
            if socket.set_disconnected() {
                socket.client.request(SOCKETS_LEFT);
            }
        });
    }

    /// Disconnects the sockets of all namespaces of the connection, and then closes the connection
    /// (`disconnect(true)` in Node). Events sent before this call are still delivered.
    pub fn close_connection(&self) {
        self.0.leave_after_events(Leave::Connection, |socket| {
            socket.set_disconnected();
            socket.client.request(CLOSE);
        });
    }

    /// Waits until the socket is disconnected. A long-running handler can watch this to stop early.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::{Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("watch", |socket: Socket| async move {
    ///     let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ///     loop {
    ///         tokio::select! {
    ///             _ = ticks.tick() => socket.emit("tick", &())?,
    ///             () = socket.disconnected() => return Ok(()),
    ///         }
    ///     }
    /// });
    /// ```
    pub async fn disconnected(&self) {
        self.0.disconnected().await;
    }

    /// Waits until the outgoing queue has room again. Call it after [`EmitError::Full`].
    ///
    /// ```
    /// use socketio_server::{EmitError, Socket};
    ///
    /// /// Sends all lines at the pace of the client.
    /// async fn send(socket: &Socket, lines: &[String]) -> Result<(), EmitError> {
    ///     for line in lines {
    ///         while let Err(EmitError::Full) = socket.emit("line", line) {
    ///             socket.ready().await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is disconnected.
    pub async fn ready(&self) -> Result<(), EmitError> {
        tokio::select! {
            () = self.0.client.handle.ready() => {}
            () = self.disconnected() => {}
        }
        if self.0.is_disconnected() { Err(EmitError::Disconnected) } else { Ok(()) }
    }

    pub(crate) fn same(&self, other: &Socket) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id())
            .field("nsp", &self.nsp())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl Socket {
    typed_emit! {
        /// Sends a typed event, whose [`Event`] fixes the types of the arguments. See
        /// [`emit`](Self::emit).
        ///
        /// ```
        /// use socketio_server::{EmitError, Event, Socket};
        ///
        /// const MOVED: Event<(i32, i32)> = Event::new("moved");
        ///
        /// fn tell(socket: &Socket) -> Result<(), EmitError> {
        ///     socket.emit_event(MOVED, &(3, 4))
        /// }
        /// ```
        ///
        /// # Errors
        ///
        /// Returns the errors of [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;

        /// Sends a typed event and waits for its ack, whose type the [`Event`] fixes. See
        /// [`emit_with_ack`](Self::emit_with_ack).
        ///
        /// ```
        /// use socketio_server::{AckError, Event, Socket};
        ///
        /// const NAME: Event<(), String> = Event::new("name?");
        ///
        /// async fn ask(socket: &Socket) -> Result<String, AckError> {
        ///     socket.emit_event_with_ack(NAME, &()).await
        /// }
        /// ```
        ///
        /// # Errors
        ///
        /// See [`AckError`].
        async fn emit_event_with_ack() -> Result<R, AckError>;
    }
}
