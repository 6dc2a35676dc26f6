//! The contexts of handlers: the values that extractors read.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use socketio_core::{HandlerContext, Reply, local_event};
use socketio_parser::Args;

use crate::{
    error::{DisconnectReason, EmitError, HandlerError},
    handlers::Rewrite,
    socket::{
        Socket,
        ack::{Ack, AckRequest, Responder, WaitingAck},
    },
};

/// The context of a handler for clients, of any kind: event, middleware, connection or
/// disconnection. To write an extractor that every such handler can take, implement
/// [`Extract<C>`](crate::Extract) for all `C: Context`:
///
/// ```
/// use socketio_server::{Context, Extract, HandlerError, Server};
///
/// struct Language(String);
///
/// impl<C: Context> Extract<C> for Language {
///     fn extract(context: &mut C) -> Result<Self, HandlerError> {
///         let headers = context.socket().handshake().headers();
///         let header = headers.get("accept-language").ok_or_else(|| HandlerError::public("none"))?;
///         Ok(Self(header.to_str()?.to_owned()))
///     }
/// }
///
/// let io = Server::new();
/// io.on("greet", |Language(language): Language| format!("hello in {language}"));
/// ```
pub trait Context: HandlerContext<Reply = EventReply> {
    /// Returns the socket that the event came from.
    fn socket(&self) -> &Socket;
}

/// The context of handlers of events (`on`, `once`, `on_any`).
///
/// Extractors: [`Socket`], [`Data<T>`](crate::Data), [`EventName`](crate::EventName), [`Args`],
/// [`Ack`], [`Auth<T>`](crate::Auth), [`State<T>`](crate::State),
/// [`Extension<T>`](crate::Extension), [`Params`](crate::Params).
#[derive(Clone)]
pub struct EventContext {
    pub(crate) socket: Socket,
    pub(crate) args: Args,
    pub(crate) requested: Option<AckRequest>,
}

/// The context of a socket's middlewares, which run before the handlers of its events
/// ([`Socket::use_`](crate::Socket::use_)).
///
/// Extractors: those of [`EventContext`], and [`Rewrite`].
#[derive(Clone)]
pub struct EventMiddlewareContext {
    pub(crate) socket: Socket,
    pub(crate) args: Args,
    pub(crate) requested: Option<AckRequest>,
    pub(crate) rewrite: Rewrite,
}

/// The context of connection handlers (`on_connection`) and of the middlewares of a namespace.
///
/// Extractors: [`Socket`], [`Auth<T>`](crate::Auth), [`Data<T>`](crate::Data) (the same as `Auth`),
/// [`State<T>`](crate::State), [`Extension<T>`](crate::Extension), [`Params`](crate::Params).
#[derive(Clone)]
pub struct ConnectContext {
    pub(crate) socket: Socket,
}

/// The context of disconnection handlers (`on_disconnecting`, `on_disconnect`).
///
/// Extractors: [`Socket`], [`DisconnectReason`],
/// [`DisconnectDescription`](crate::DisconnectDescription), [`Auth<T>`](crate::Auth),
/// [`State<T>`](crate::State), [`Extension<T>`](crate::Extension), [`Params`](crate::Params).
#[derive(Clone)]
pub struct DisconnectContext {
    pub(crate) socket: Socket,
    pub(crate) reason: DisconnectReason,
    pub(crate) description: Option<Arc<str>>,
}

// The client has a macro of the same shape (`socketio-client/src/socket/handlers.rs`). One macro for
// both would take the trait, the reply and its value as arguments, and write three short functions.
macro_rules! contexts {
    ($($context:ident, |$this:ident| $responder:expr;)*) => { $(
        impl Context for $context {
            fn socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl HandlerContext for $context {
            type Reply = EventReply;

            fn destination(&self) -> EventReply {
                let $this = self;
                EventReply { responder: $responder, waiting: None }
            }
        }

        impl std::fmt::Debug for $context {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($context))
                    .field("socket", &self.socket)
                    .finish_non_exhaustive()
            }
        }
    )* };
}

contexts! {
    EventContext, |this| this.requested.as_ref().map(|it| it.reply(this.socket.clone()));
    EventMiddlewareContext, |this| this.requested.as_ref().map(|it| it.reply(this.socket.clone()));
    ConnectContext, |_this| None;
    DisconnectContext, |_this| None;
}

impl EventContext {
    /// Returns the event's arguments.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Returns the ack of the event.
    pub fn ack(&self) -> Ack {
        Ack(self.requested.as_ref().map(|requested| requested.responder(self.socket.clone())))
    }
}

impl ConnectContext {
    /// Returns the context of a handler that was registered with `on("connection")`. Its argument
    /// is the data of the client's CONNECT.
    pub(crate) fn into_event(self) -> Result<EventContext, HandlerError> {
        let args = match &self.socket.0.auth {
            Some(auth) => local_event("connection", auth),
            None => local_event("connection", &json!({})),
        };
        Ok(EventContext { args: args?, socket: self.socket, requested: None })
    }
}

impl DisconnectContext {
    /// Returns the reason of the disconnection.
    pub fn reason(&self) -> DisconnectReason {
        self.reason
    }

    /// Returns the context of a handler that was registered with `on("disconnect")` or
    /// `on("disconnecting")`. Its arguments are the texts of the reason and of
    /// its details, if there are any.
    pub(crate) fn into_event(self, event: &str) -> Result<EventContext, HandlerError> {
        let reason = self.reason.to_string();
        let args = match self.description {
            Some(description) => local_event(event, &(reason, &*description)),
            None => local_event(event, &reason),
        };
        Ok(EventContext { args: args?, socket: self.socket, requested: None })
    }
}

/// Sends the value that a handler returned. While the outgoing queue is more than half full, the
/// ack waits, so that a client that reads gets all its acks.
pub struct EventReply {
    responder: Option<Responder>,
    /// The ack, if it has to wait.
    waiting: Option<Box<WaitingAck>>,
}

impl Reply for EventReply {
    type Waiting = Option<Box<WaitingAck>>;

    fn reply<T: Serialize>(&mut self, value: &T) -> Result<(), HandlerError> {
        let Some(responder) = &self.responder else { return Ok(()) };
        match responder.send_or_wait(value) {
            Ok(waiting) => self.waiting = waiting.map(Box::new),
            // A client that has left in the meantime is not a failure of the handler.
            Err(EmitError::Disconnected) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn into_waiting(self) -> Self::Waiting {
        self.waiting
    }
}
