//! The parts that `socketio-server` and `socketio-async-client` have in common: event handlers with
//! their return values and errors. Both crates re-export what their users need.
//!
//! A library that servers and clients share can depend on this crate alone, to implement [`AckValue`]
//! for the types that handlers return, or [`PublicError`] for their errors.
//!
//! The crate does no I/O, reads no clock and needs no runtime.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ack;
mod error;
mod extract;
mod extractors;
mod handler;
mod listener;
mod public_error;
mod run;
mod typed;

pub use ack::{AckValue, IntoReply, Json, Outcome};
#[doc(hidden)]
pub use ack::{FirstAck, Reply};
pub use error::HandlerError;
pub use extract::{Extract, MaybeExtract};
pub use extractors::{Data, DisconnectDescription, EventName};
#[doc(hidden)]
pub use handler::{
    Async, ErasedHandler, ExtractAll, Function, HandlerContext, Plain, Returned, Unstarted,
    Untyped, erase, erase_typed, start_caught,
};
pub use handler::{Handler, TypedHandler};
#[doc(hidden)]
pub use listener::{EventListeners, Listener, ListenerId};
pub use public_error::PublicError;
#[doc(hidden)]
pub use public_error::{PublicErrors, PublicPart};
#[doc(hidden)]
pub use run::{HandlerFuture, Step, local_event, panic_message, poll_caught};
#[doc(hidden)]
pub use serde::{Serialize, de::DeserializeOwned};
#[doc(hidden)]
pub use socketio_parser::{Args, Event};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
