//! The futures of handlers, and the events that this side makes up for handlers.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use serde::Serialize;
use socketio_parser::Args;

use crate::HandlerError;

/// The future of a handler that was started.
pub type HandlerFuture<T = ()> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;

/// The progress of a handler.
#[derive(Debug)]
pub enum Step<T = ()> {
    /// The handler has not finished.
    Pending,
    /// The handler has finished.
    Done(T),
    /// The handler returned an error.
    Failed(HandlerError),
    /// The handler panicked with this message.
    Panicked(String),
}

/// Polls the future of a handler.
#[inline]
pub fn poll_caught<T>(future: &mut HandlerFuture<T>, cx: &mut Context<'_>) -> Step<T> {
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Step::Pending,
        Ok(Poll::Ready(Ok(value))) => Step::Done(value),
        Ok(Poll::Ready(Err(error))) => Step::Failed(error),
        Err(panic) => Step::Panicked(panic_message(&*panic)),
    }
}

/// The depth at which the arguments of an event of this side are refused.
const MAX_DEPTH: usize = 128;

/// Creates the event that handlers of a connection change get if they are registered by its name,
/// which no peer can send. A tuple is the list of arguments.
///
/// # Errors
///
/// Returns an error if the arguments cannot be encoded.
pub fn local_event<T: Serialize + ?Sized>(event: &str, args: &T) -> Result<Args, HandlerError> {
    Ok(Args::encode(Some("local"), args, MAX_DEPTH)?.with_event(event))
}

/// Returns the message of a panic.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the handler panicked").to_owned()
}
