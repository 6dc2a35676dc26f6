//! Handlers: from an event to the user's function, its arguments and its return value.

pub(crate) mod context;
pub(crate) mod extract;
pub(crate) mod extractors;
pub(crate) mod handler;
pub(crate) mod listeners;
pub(crate) mod rewrite;
pub(crate) mod table;

use std::sync::Arc;

use socketio_parser::Args;

use crate::{
    error::HandlerError,
    handlers::context::Context,
    socket::{Socket, ack::WaitingAck},
};

pub use extract::{Extract, MaybeExtract};
pub use extractors::{Auth, Data, DisconnectDescription, EventName, Extension, State};
pub use handler::{Handler, TypedHandler};
pub use listeners::{ListenerHandle, Registration};
pub use rewrite::Rewrite;

pub(crate) use handler::{erase, erase_typed};

/// A listener for outgoing events.
pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &Args) + Send + Sync>;

pub(crate) type ErrorHandler = Arc<dyn Fn(&Socket, &Failure) + Send + Sync>;

/// A failure in a handler. See [`Namespace::on_error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the event, or `connection`, `disconnecting` or `disconnect`. For a middleware,
    /// `connect`.
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
    /// An argument could not be extracted; the handler did not run.
    Extract,
    /// The handler returned an error.
    Handler,
    /// The handler panicked. Other sockets are not affected.
    Panic,
    /// A middleware failed with an error that was not made for the client. (A public error is a
    /// refusal and not a failure.)
    Middleware,
    /// The socket exceeded its rate limit ([`RateLimit`](crate::RateLimit)), and its event was
    /// dropped.
    RateLimit,
}

/// A handler with its types erased. Costs one allocation per call.
pub(crate) type Erased = Arc<dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync>;

/// A handler's running future. Returns the ack if it could not be sent yet.
pub(crate) type HandlerFuture = socketio_core::HandlerFuture<Option<WaitingAck>>;

pub(crate) type Step = socketio_core::Step<Option<WaitingAck>>;
