//! The parts that `socketio-server` and `socketio-async-client` have in common: event handlers with
//! their return values and errors. Both crates re-export what their users need.
//!
//! A library that servers and clients share can depend on this crate alone, to implement [`Answer`]
//! for the types that handlers return, or [`PublicError`] for their errors.
//!
//! The crate does no I/O, reads no clock and needs no runtime.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod error;
mod listener;
mod public_error;
mod run;

#[doc(hidden)]
pub use answer::Reply;
pub use answer::{Answer, IntoReply, Json, Outcome};
pub use error::HandlerError;
#[doc(hidden)]
pub use listener::{EventListeners, Listener, ListenerId};
pub use public_error::PublicError;
#[doc(hidden)]
pub use public_error::{PublicErrors, PublicPart};
#[doc(hidden)]
pub use run::{HandlerFuture, Step, panic_message, poll_caught};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
