//! Handlers: from an event to the user's function, its arguments and its return value.

mod context;
pub(crate) mod extractors;
pub(crate) mod listeners;
mod rewrite;
pub(crate) mod table;

use std::sync::Arc;

use socketio_parser::Args;

use crate::{
    error::HandlerError,
    socket::{Socket, ack::WaitingAck},
};

pub use context::{
    ConnectContext, Context, DisconnectContext, EventContext, EventMiddlewareContext,
};
pub use extractors::{Auth, Extension, State};
pub use listeners::{ListenerHandle, Registration};
pub use rewrite::Rewrite;
pub use socketio_core::{
    Data, DisconnectDescription, EventName, Extract, Handler, MaybeExtract, TypedHandler,
};
pub(crate) use socketio_core::{ErasedHandler, erase, erase_typed};

/// A listener for outgoing events.
pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &Args) + Send + Sync>;

pub(crate) type ErrorHandler = Arc<dyn Fn(&Socket, &Failure) + Send + Sync>;

/// A failure in a handler. See [`Namespace::on_error`](crate::Namespace::on_error).
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the event. For a handler of a connection or disconnection: `connection`,
    /// `disconnecting` or `disconnect`. For a middleware of a namespace: `connect`.
    pub event: String,
    /// The point of the failure.
    pub stage: Stage,
    /// The error, or the message of a panic.
    pub error: HandlerError,
}

/// The point at which a handler failed.
///
/// ```
/// use socketio_server::{Server, Stage};
///
/// let io = Server::new();
/// io.on_error(|_, failure| match failure.stage {
///     Stage::Panic => eprintln!("a bug in the handler of {}: {}", failure.event, failure.error),
///     _ => println!("{} failed: {}", failure.event, failure.error),
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// An argument of the handler could not be extracted. The handler did not run.
    Extract,
    /// The handler returned an error.
    Handler,
    /// The handler panicked. Other sockets are not affected.
    Panic,
    /// A middleware returned an error, or one of its arguments could not be extracted. For a
    /// middleware of a namespace, only errors that were not [made for the
    /// client](HandlerError::public) are reported, because a public error is a refusal of the
    /// client. For a middleware of a socket ([`Socket::use_`](crate::Socket::use_)), every error is
    /// reported.
    Middleware,
    /// The socket exceeded its rate limit ([`RateLimit`](crate::RateLimit)), and its event was
    /// dropped.
    RateLimit,
}

pub(crate) type EventHandler = ErasedHandler<EventContext>;
pub(crate) type EventMiddleware = ErasedHandler<EventMiddlewareContext>;
/// A connection handler or a middleware of a namespace.
pub(crate) type ConnectHandler = ErasedHandler<ConnectContext>;
pub(crate) type DisconnectHandler = ErasedHandler<DisconnectContext>;

/// A handler's running future. Returns the ack if it could not be sent yet.
pub(crate) type HandlerFuture = socketio_core::HandlerFuture<Option<Box<WaitingAck>>>;

pub(crate) type Step = socketio_core::Step<Option<Box<WaitingAck>>>;
