//! Sending typed events, to one socket and to many. Handlers for typed events are added with
//! `handle`, next to `on`.

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::Event;

use crate::{
    broadcast::Broadcast,
    emitter::Emitter,
    error::{AckError, BroadcastAckError, EmitError},
    model::{Namespace, Socket},
    server::Server,
};

impl Socket {
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
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

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
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<R, AckError> {
        self.emit_with_ack(event.name(), args).await
    }
}

impl Emitter<'_> {
    /// Sends a typed event. See [`Socket::emit_event`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`emit`](Self::emit).
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
}

impl Broadcast {
    /// Broadcasts a typed event. See [`emit`](Self::emit).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Broadcasts a typed event and collects the acks of all recipients. See
    /// [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        self.emit_with_ack(event.name(), args).await
    }
}

impl Namespace {
    /// Broadcasts a typed event to all sockets of the namespace. See [`emit`](Self::emit).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Broadcasts a typed event and collects the acks of all recipients.
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        self.emit_with_ack(event.name(), args).await
    }
}

impl Server {
    /// Broadcasts a typed event to all sockets of the main namespace.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Broadcasts a typed event and collects the acks of all recipients.
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        self.emit_with_ack(event.name(), args).await
    }
}
