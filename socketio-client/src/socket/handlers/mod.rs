//! Handlers and their arguments.

mod context;
mod extractors;

pub use self::context::{
    ConnectContext, ConnectErrorContext, Context, DisconnectContext, EventContext,
};
pub use socketio_core::{
    Data, DisconnectDescription, EventName, Extract, Handler, MaybeExtract, TypedHandler,
};
pub(crate) use socketio_core::{ErasedHandler, HandlerFuture, erase, erase_typed};

pub(crate) type EventHandler = ErasedHandler<EventContext>;
