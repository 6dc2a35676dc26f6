//! One client in one namespace: what can be done with it.

use std::{fmt, pin::pin, time::Duration};

use engineio_server::{Handle, Handshake};
use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{IntoRooms, Room};
use socketio_parser::{Event, Nsp};

use crate::{
    auth,
    broadcast::Broadcast,
    dispatch::{Handler, TypedHandler, erase, erase_typed},
    emitter::Emitter,
    error::{AckError, EmitError, HandlerError, JoinError},
    hub::RoomLimits,
    model::{CLOSE, Namespace, SOCKETS_LEFT, Socket},
};

impl Socket {
    /// The session id: 20 characters of base64url, fresh for every connection to a namespace.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The name of the namespace.
    pub fn nsp(&self) -> &Nsp {
        self.0.namespace.nsp()
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// A part of the namespace's name, as named by its [pattern](crate::Server::of_pattern).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.namespace.0.child.get()?.params.get(name)
    }

    /// Whether the namespace was connected and still is.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// The HTTP request that opened the connection: headers, query, address, time.
    pub fn handshake(&self) -> &Handshake {
        self.0.client.handle.handshake()
    }

    /// The Engine.IO session below, shared by all namespaces of the connection.
    pub fn conn(&self) -> &Handle {
        &self.0.client.handle
    }

    /// What the client sent with its CONNECT packet (`auth` in the JavaScript client), decoded. A client that sent nothing
    /// sent `{}`, as in Node; a type that cannot be made of that is made of `null`.
    ///
    /// # Errors
    ///
    /// It is of another type. The client is told "invalid auth" of this error.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        auth::decode(self.0.auth.as_ref())
    }

    /// Sends an event to the client. A tuple (or array) is a list of arguments, anything else is one argument, `()` is
    /// none. Binary anywhere inside goes as attachments.
    ///
    /// # Errors
    ///
    /// The socket is disconnected, its queue is full, or the event cannot be encoded. Nothing was sent then.
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

    /// Sends an event and waits for the client's answer, up to the server's `ack_timeout`.
    ///
    /// # Errors
    ///
    /// See [`AckError`]. Exactly one outcome is reported, at the latest after the timeout.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        self.emitter().emit_with_ack(event, args).await
    }

    /// Sets how long the answer to the next event may take.
    pub fn timeout(&self, timeout: Duration) -> Emitter<'_> {
        self.emitter().timeout(timeout)
    }

    /// The next event is dropped, not queued, where the transport is not writable.
    pub fn volatile(&self) -> Emitter<'_> {
        self.emitter().volatile()
    }

    /// Whether the next event may be compressed (default yes), where the transport does so: see
    /// [`EngineConfig`](engineio_server::EngineConfig)'s `http_compression` and `per_message_deflate`. No is for what was
    /// compressed before, and for secrets beside text that others choose.
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        self.emitter().compress(compress)
    }

    fn emitter(&self) -> Emitter<'_> {
        Emitter::new(self)
    }

    /// Broadcasts to everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(self.0.namespace.clone()).without(self.0.id.clone())
    }

    /// Broadcasts to rooms, without this socket. An empty list reaches nobody.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast {
        self.to(rooms)
    }

    /// Broadcasts to everybody but this socket and those in `rooms`.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Broadcasts on this node only, without this socket.
    pub fn local(&self) -> Broadcast {
        self.broadcast().local()
    }

    /// Joins one room or several.
    ///
    /// # Errors
    ///
    /// The socket is disconnected, or in as many rooms as it may, or a room's name is longer than
    /// [`max_room_name`](crate::ServerConfig::max_room_name); rooms that were named before the refused one are joined then.
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

    /// Leaves one room or several. Once the socket is in none any more, this does nothing.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        if self.0.is_member() {
            self.0.change_rooms(|| self.0.namespace.hub().leave(&self.0.id, &list));
        }
    }

    /// Leaves all rooms but the one of its own id.
    pub fn leave_all(&self) {
        if self.0.is_member() {
            self.0.change_rooms(|| self.0.namespace.hub().leave_all(&self.0.id));
        }
    }

    /// The rooms the socket is in; its own id is the first.
    pub fn rooms(&self) -> Vec<Room> {
        if self.0.is_member() { self.0.namespace.hub().rooms_of(&self.0.id) } else { Vec::new() }
    }

    /// Adds a handler for an event of this socket, beside those of the namespace, which run first.
    pub fn on<M>(&self, event: &str, handler: impl Handler<M>) {
        self.0.change_own(|table| table.add(event, erase(handler)));
    }

    /// Adds a handler for a typed event of this socket.
    pub fn handle<A, R>(&self, event: Event<A, R>, handler: impl TypedHandler<A, R>)
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.0.change_own(|table| table.add(event.name(), erase_typed(handler)));
    }

    /// Adds a handler that runs when this socket is about to be disconnected, while it is still in its rooms.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<M>) {
        self.0.change_own(|table| table.add("disconnecting", erase(handler)));
    }

    /// Adds a handler that runs when this socket was disconnected.
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) {
        self.0.change_own(|table| table.add("disconnect", erase(handler)));
    }

    /// Removes the handlers of an event that were added to this socket.
    pub fn off(&self, event: &str) {
        let removed = self.0.change_own(|table| table.remove(event));
        // The user's closures end here, where no lock is held.
        drop(removed);
    }

    /// Disconnects the socket from its namespace; the connection and its other namespaces live on.
    ///
    /// From now on nothing is sent to it and none of its events is handled; its handlers of a disconnection run soon
    /// after, in the connection's own task. In a middleware this refuses the client. Where events are published first
    /// ([`Recovery`](crate::Recovery)), those that were sent before still go out, and it is disconnected then.
    pub fn disconnect(&self) {
        self.last(|socket| {
            if socket.0.set_disconnected() {
                socket.0.client.ask(SOCKETS_LEFT);
            }
        });
    }

    /// Closes the whole connection, after disconnecting the sockets of all its namespaces (`disconnect(true)` in
    /// Node). What was sent before still goes out.
    pub fn disconnect_all(&self) {
        self.last(|socket| {
            socket.0.set_disconnected();
            socket.0.client.ask(CLOSE);
        });
    }

    /// Does something after all that was sent before.
    fn last(&self, act: impl FnOnce(&Self) + Send + 'static) {
        if !self.0.is_connected() || !self.0.takes_turns() {
            return act(self);
        }
        let socket = self.clone();
        if let Err(act) = self.0.in_turn(Box::new(move || act(&socket))) {
            act();
        }
    }

    /// Waits until the socket is disconnected. Handlers that run long watch this to end in time.
    pub async fn disconnected(&self) {
        loop {
            let gone = self.0.gone.notified();
            let mut gone = pin!(gone);
            gone.as_mut().enable();
            if self.0.is_disconnected() {
                return;
            }
            gone.await;
        }
    }

    /// Waits until the outgoing queue has room again, after [`EmitError::Full`].
    ///
    /// # Errors
    ///
    /// The socket is disconnected.
    pub async fn ready(&self) -> Result<(), EmitError> {
        tokio::select! {
            () = self.0.client.handle.ready() => {}
            () = self.disconnected() => {}
        }
        if self.is_connected() { Ok(()) } else { Err(EmitError::Disconnected) }
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
