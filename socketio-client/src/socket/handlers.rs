//! The contexts of handlers, and the extractors of each context.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
pub use socketio_core::{
    Data, DisconnectDescription, EventName, Extract, Handler, MaybeExtract, TypedHandler,
};
pub(crate) use socketio_core::{ErasedHandler, HandlerFuture, erase, erase_typed};
use socketio_core::{HandlerContext, HandlerError, Reply, event_extractors, local_event};
use socketio_parser::Args;

use super::{Ack, Responder, Socket};
use crate::error::{ConnectError, DisconnectReason};

pub(crate) type EventHandler = ErasedHandler<EventContext>;

/// The context of a handler of any kind: event, connect, connect error or disconnect. To write an
/// extractor that every handler can take, implement [`Extract<C>`](crate::Extract) for all `C:
/// Context`:
///
/// ```
/// use socketio_client::{Context, Extract, HandlerError};
///
/// struct SocketId(Option<String>);
///
/// impl<C: Context> Extract<C> for SocketId {
///     fn extract(context: &mut C) -> Result<Self, HandlerError> {
///         Ok(Self(context.socket().id()))
///     }
/// }
/// ```
pub trait Context: HandlerContext<Reply: Reply<Waiting = ()>> {
    /// Returns the socket that received the event.
    fn socket(&self) -> &Socket;
}

/// The context of handlers of events (`on`, `once`, `on_any`).
///
/// Extractors: [`Socket`], [`Data<T>`](crate::Data), [`EventName`](crate::EventName), [`Args`],
/// [`Ack`].
#[derive(Clone)]
pub struct EventContext {
    pub(crate) socket: Socket,
    pub(crate) args: Args,
    pub(crate) responder: Option<Responder>,
}

/// The context of `on_connect` handlers. Extractors: [`Socket`].
#[derive(Clone)]
pub struct ConnectContext {
    pub(crate) socket: Socket,
}

/// The context of `on_connect_error` handlers. Extractors: [`Socket`], [`ConnectError`].
#[derive(Clone)]
pub struct ConnectErrorContext {
    pub(crate) socket: Socket,
    pub(crate) error: ConnectError,
}

/// The context of `on_disconnect` handlers. Extractors: [`Socket`], [`DisconnectReason`],
/// [`DisconnectDescription`](crate::DisconnectDescription).
#[derive(Clone)]
pub struct DisconnectContext {
    pub(crate) socket: Socket,
    pub(crate) reason: DisconnectReason,
    pub(crate) description: Option<Arc<str>>,
}

// The server has a macro of the same shape (`socketio-server/src/handlers/context.rs`). One macro for
// both would take the trait, the reply and its value as arguments, and write three short functions.
macro_rules! contexts {
    ($($context:ident, $reply:ty, |$this:ident| $reply_value:expr;)*) => { $(
        impl Context for $context {
            fn socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl HandlerContext for $context {
            type Reply = $reply;

            fn destination(&self) -> $reply {
                let $this = self;
                $reply_value
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
    EventContext, Ack, |this| this.ack();
    ConnectContext, (), |_this| ();
    ConnectErrorContext, (), |_this| ();
    DisconnectContext, (), |_this| ();
}

impl EventContext {
    /// Returns the event's arguments.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Returns the ack that the server waits for.
    pub fn ack(&self) -> Ack {
        Ack(self.responder.clone())
    }

    /// Returns the context of a handler that was registered under the name of a connection change.
    fn of_change<T: Serialize + ?Sized>(
        socket: Socket,
        event: &str,
        args: &T,
    ) -> Result<Self, HandlerError> {
        Ok(Self { socket, args: local_event(event, args)?, responder: None })
    }
}

impl ConnectContext {
    /// Returns the context of a handler of `on("connect")`, which has no arguments.
    pub(crate) fn into_event(self) -> Result<EventContext, HandlerError> {
        EventContext::of_change(self.socket, "connect", &())
    }
}

impl ConnectErrorContext {
    /// Returns the reason why the socket is not connected.
    pub fn error(&self) -> &ConnectError {
        &self.error
    }

    /// Returns the context of a handler of `on("connect_error")`. Its argument is an object with
    /// `message` and, if the server sent some, `data`.
    pub(crate) fn into_event(self) -> Result<EventContext, HandlerError> {
        let message = self.error.to_string();
        let error = match &self.error {
            ConnectError::Refused { data: Some(data), .. } => {
                json!({ "message": message, "data": data })
            }
            _ => json!({ "message": message }),
        };
        EventContext::of_change(self.socket, "connect_error", &error)
    }
}

impl DisconnectContext {
    /// Returns the reason why the socket was disconnected.
    pub fn reason(&self) -> DisconnectReason {
        self.reason
    }

    /// Returns details of the [`reason`](Self::reason), such as which request failed and how.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns the context of a handler of `on("disconnect")`. Its arguments are the texts of
    /// the reason and of its details, if there are any.
    pub(crate) fn into_event(self) -> Result<EventContext, HandlerError> {
        let reason = self.reason.to_string();
        match &self.description {
            Some(more) => EventContext::of_change(self.socket, "disconnect", &(reason, &**more)),
            None => EventContext::of_change(self.socket, "disconnect", &reason),
        }
    }
}

event_extractors!(EventContext);

impl<C: Context> Extract<C> for Socket {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        Ok(context.socket().clone())
    }
}

impl Extract<EventContext> for Ack {
    fn extract(context: &mut EventContext) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

impl Extract<ConnectErrorContext> for ConnectError {
    fn extract(context: &mut ConnectErrorContext) -> Result<Self, HandlerError> {
        Ok(context.error.clone())
    }
}

impl Extract<DisconnectContext> for DisconnectReason {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Ok(context.reason)
    }
}

impl Extract<DisconnectContext> for DisconnectDescription {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?.ok_or_else(|| "the disconnection has no description".into())
    }
}

impl MaybeExtract<DisconnectContext> for DisconnectDescription {
    fn maybe_extract(context: &mut DisconnectContext) -> Result<Option<Self>, HandlerError> {
        Ok(context.description().map(|text| Self(text.to_owned())))
    }
}
