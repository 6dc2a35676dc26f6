//! Acks that the server sends to clients.

use std::{fmt, sync::OnceLock};

use engineio_server::{
    Frames,
    internal::{OutgoingMessage, send_with},
};
use serde::Serialize;
use socketio_core::FirstAck;
use socketio_parser::AckId;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{error::EmitError, socket::Socket};

/// Extractor that sends the ack of the client's event.
///
/// Only the first ack of an event is sent. If an `Ack` is dropped without being sent, the client
/// keeps waiting, as in Node.
///
/// ```
/// use socketio_server::{Ack, Data, Server};
///
/// let io = Server::new();
/// io.on("divide", |Data((a, b)): Data<(f64, f64)>, ack: Ack| async move {
///     ack.send(&(a / b, a % b))?; // two arguments
///     Ok(())
/// });
/// ```
pub struct Ack(pub(crate) Option<Responder>);

impl Ack {
    /// Returns whether the client waits for an ack. If not, [`send`](Self::send) does nothing.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Sends the ack. A tuple is a list of arguments, any other value is one argument.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded, the socket is disconnected, or its queue is
    /// full. In each case no ack was sent, and the call may be repeated.
    /// [`send_when_ready`](Self::send_when_ready) waits for room in the queue.
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.0.as_ref().map_or(Ok(()), |responder| responder.send(args))
    }

    /// Sends the ack like [`send`](Self::send), but first waits until at least half of the
    /// outgoing queue is free. An ack of any size then finds room. The value that a handler
    /// returns waits in the same way.
    ///
    /// If the returned future is dropped while it waits, no ack was sent.
    ///
    /// ```
    /// use socketio_server::{Ack, EmitError, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("report", |socket: Socket, ack: Ack| async move {
    ///     for line in 0..100_000 {
    ///         while let Err(EmitError::Full) = socket.emit("line", &line) {
    ///             socket.ready().await?;
    ///         }
    ///     }
    ///     ack.send_when_ready("done").await?;
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded or the socket is disconnected. If events are
    /// published before delivery ([`Recovery`](crate::Recovery)), also if too many packets wait for
    /// earlier events ([`ClusterError::QueueFull`](crate::ClusterError::QueueFull)). In each case no
    /// ack was sent.
    pub async fn send_when_ready<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        let Some(responder) = &self.0 else { return Ok(()) };
        if responder.socket.0.namespace.publishes_first() {
            loop {
                match responder.send(args) {
                    Err(EmitError::Full) => responder.socket.ready().await?,
                    result => return result,
                }
            }
        }
        match responder.send_or_wait(args)? {
            Some(waiting) => waiting.send().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("wanted", &self.is_wanted()).finish()
    }
}

/// The ack that a client has requested with an event.
pub(crate) struct AckRequest {
    id: AckId,
    /// Set when several responders may exist, of which the first sends the ack. The reply of most
    /// events is their only responder. Its handler fails only if no reply was sent.
    first: OnceLock<FirstAck>,
}

impl AckRequest {
    pub(crate) fn new(id: AckId) -> Self {
        Self { id, first: OnceLock::new() }
    }

    /// Returns the responder of a handler's reply, after all others were created.
    pub(crate) fn reply(&self, socket: Socket) -> Responder {
        Responder { socket, id: self.id, first: self.first.get().cloned() }
    }

    /// Returns one of several responders.
    pub(crate) fn responder(&self, socket: Socket) -> Responder {
        Responder { socket, id: self.id, first: Some(self.first().clone()) }
    }

    fn first(&self) -> &FirstAck {
        self.first.get_or_init(FirstAck::default)
    }
}

impl Clone for AckRequest {
    fn clone(&self) -> Self {
        Self { id: self.id, first: self.first().clone().into() }
    }
}

/// Sends the ack that a client has requested, unless another responder has sent it.
#[derive(Clone)]
pub(crate) struct Responder {
    socket: Socket,
    id: AckId,
    /// Shared by all responders of the event. `None` if there is only this one.
    first: Option<FirstAck>,
}

impl Responder {
    /// Sends an ack if the outgoing queue has room for it.
    fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        let sent = self.send_first(args, |message| {
            let socket = &self.socket.0;
            if !socket.namespace.publishes_first() {
                return socket.send(message);
            }
            let frames = message.into_frames();
            let (responder, copy) = (self.clone(), frames.clone());
            let late = move |_: &_, _| WaitingAck::for_room(responder, copy).spawn();
            socket.send_after_events(frames, late)
        });
        sent.map(drop)
    }

    /// Sends an ack of any size. Returns it if it has to wait for earlier events, or until at least
    /// half of the outgoing queue is free. The caller bounds the number of waiting acks: to acks of
    /// running handlers ([`max_handlers`](crate::ServerConfig::max_handlers)), for example.
    pub(crate) fn send_or_wait<T: Serialize + ?Sized>(
        &self,
        args: &T,
    ) -> Result<Option<WaitingAck>, EmitError> {
        let waiting =
            self.send_first(args, |message| match self.socket.0.namespace.publishes_first() {
                true => Ok(self.send_after_events(message.into_frames())),
                false => {
                    let unsent = self.send_if_room(message)?;
                    Ok(unsent.map(|frames| WaitingAck::for_room(self.clone(), frames)))
                }
            });
        Ok(waiting?.flatten())
    }

    /// Encodes an ack and sends it with `send`, unless another ack was sent before.
    fn send_first<T: Serialize + ?Sized, R>(
        &self,
        args: &T,
        send: impl FnOnce(OutgoingMessage<'_>) -> Result<R, EmitError>,
    ) -> Result<Option<R>, EmitError> {
        let parser = self.socket.0.client.config.parser;
        let send = |message: OutgoingMessage<'_>| match &self.first {
            Some(first) => first.send(|| send(message)),
            None => send(message).map(Some),
        };
        parser.send_ack(self.socket.nsp(), self.id, args, send)?
    }

    /// Sends an ack if at least half of the outgoing queue is free, and returns it otherwise.
    fn send_if_room(&self, message: OutgoingMessage<'_>) -> Result<Option<Frames>, EmitError> {
        let socket = &self.socket.0;
        let mut unsent = None;
        let accepted = send_with(&socket.client.handle, |session| {
            if !socket.may_send(session) || !session.is_open() {
                return false;
            }
            if !session.has_room() {
                unsent = Some(message);
                return true;
            }
            session.send_message(message).is_ok()
        });
        if !accepted {
            return Err(EmitError::Disconnected);
        }
        Ok(unsent.map(OutgoingMessage::into_frames))
    }

    /// Sends an ack after the events that were emitted before it. Returns it if it has to wait.
    fn send_after_events(&self, frames: Frames) -> Option<WaitingAck> {
        let bytes = frames.bytes();
        let (unsent, mut turn) = oneshot::channel();
        let responder = self.clone();
        self.socket.namespace().after_events_unlimited(move || {
            if let Ok(Some(frames)) = responder.send_if_room(frames.into())
                && let Err(frames) = unsent.send(frames)
            {
                WaitingAck::for_room(responder, frames).spawn();
            }
        });
        let responder = self.clone();
        match turn.try_recv() {
            Ok(frames) => Some(WaitingAck::for_room(responder, frames)),
            Err(TryRecvError::Empty) => {
                Some(WaitingAck { responder, bytes, turn: Some(turn), frames: None })
            }
            Err(TryRecvError::Closed) => None,
        }
    }
}

/// An ack that waits for earlier events, or for room in the outgoing queue.
pub struct WaitingAck {
    responder: Responder,
    bytes: usize,
    /// Receives the frames if the queue has no room for them after the earlier events. Closed if
    /// they were sent.
    turn: Option<oneshot::Receiver<Frames>>,
    /// The frames, if they wait for room.
    frames: Option<Frames>,
}

impl WaitingAck {
    fn for_room(responder: Responder, frames: Frames) -> Self {
        Self { responder, bytes: frames.bytes(), turn: None, frames: Some(frames) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sends the ack as soon as it can be sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the client leaves first.
    pub(crate) async fn send(mut self) -> Result<(), EmitError> {
        if let Some(turn) = &mut self.turn {
            self.frames = turn.await.ok();
        }
        while self.frames.is_some() {
            self.responder.socket.ready().await?;
            if let Some(frames) = self.frames.take() {
                self.frames = self.responder.send_if_room(frames.into())?;
            }
        }
        Ok(())
    }

    /// Sends the ack in a task of its own, because no handler waits for it.
    fn spawn(self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.send());
        }
    }
}

impl Drop for WaitingAck {
    /// Allows another ack if this one was not sent.
    fn drop(&mut self) {
        if let (Some(_), Some(first)) = (&self.frames, &self.responder.first) {
            first.allow_another();
        }
    }
}
