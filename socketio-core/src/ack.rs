//! The values that an event handler may return, on either side. The traits are here, so that a type
//! needs to implement them only once for both sides.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use socketio_parser::{Args, Binary, Value, Values};

use crate::HandlerError;

/// A value that an event handler may return. It is sent as the ack that the other side awaits.
/// Servers and clients use the same trait.
///
/// Types of the standard library, such as numbers, strings, lists and tuples, implement it. For
/// your own type that is `Serialize`, an empty impl is enough, or return the value inside [`Json`].
/// (A blanket impl for every `Serialize` type would make it impossible to recognize a `Result`.)
///
/// ```
/// use serde::Serialize;
/// use socketio_core::AckValue;
///
/// #[derive(Serialize)]
/// struct Receipt { length: usize }
/// impl AckValue for Receipt {}
///
/// // With `socketio_server` or `socketio_client`: `socket.on("say", say)`.
/// async fn say(text: String) -> Receipt {
///     Receipt { length: text.len() }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`, which does not implement `AckValue`",
    label = "the return type of this handler cannot be sent as an ack",
    note = "if it is `Serialize`, write `impl AckValue for {Self} {{}}` or return `Json(value)`",
    note = "the error of a `Result` is `HandlerError`, into which `?` converts every error"
)]
pub trait AckValue: Serialize {}

macro_rules! ack_values {
    ($($type:ty),* $(,)?) => { $( impl AckValue for $type {} )* };
}

ack_values!(
    String,
    &'static str,
    bool,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f32,
    f64,
    serde_json::Value,
    Value,
    Values,
    Binary,
    Args,
);

impl<T: AckValue> AckValue for Vec<T> {}
impl<T: AckValue> AckValue for Option<T> {}
impl<A: AckValue> AckValue for (A,) {}
impl<A: AckValue, B: AckValue> AckValue for (A, B) {}
impl<A: AckValue, B: AckValue, C: AckValue> AckValue for (A, B, C) {}
impl<A: AckValue, B: AckValue, C: AckValue, D: AckValue> AckValue for (A, B, C, D) {}

/// Sends any serializable value as the ack, although its type does not implement [`AckValue`].
///
/// ```
/// use serde::Serialize;
/// use socketio_core::Json;
///
/// #[derive(Serialize)]
/// struct Receipt { length: usize }
///
/// async fn say(text: String) -> Json<Receipt> {
///     Json(Receipt { length: text.len() })
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize> AckValue for Json<T> {}

/// The return value of a handler: nothing, a value that is sent as the ack, or a `Result` of either
/// with [`HandlerError`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "the return type of this handler cannot be sent as an ack",
    note = "return `()`, a value that implements `AckValue` (or `Json(value)`), or `Result<_, HandlerError>` of either"
)]
pub trait IntoReply {
    /// Sends the ack.
    ///
    /// # Errors
    ///
    /// Returns the handler's own error, or an error if the ack could not be sent.
    #[doc(hidden)]
    fn into_reply(self, ack: &mut impl Reply) -> Result<(), HandlerError>;
}

impl IntoReply for () {
    fn into_reply(self, _: &mut impl Reply) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<T: AckValue> IntoReply for T {
    fn into_reply(self, ack: &mut impl Reply) -> Result<(), HandlerError> {
        ack.reply(&self)
    }
}

/// The type `!` of a handler that never returns, such as `|| async { todo!() }`. It cannot be named
/// yet.
type Never = <fn() -> ! as ReturnType>::Output;

/// Names the return type of a function.
#[doc(hidden)]
pub trait ReturnType {
    /// The return type.
    type Output;
}

impl<R> ReturnType for fn() -> R {
    type Output = R;
}

impl IntoReply for Never {
    fn into_reply(self, _: &mut impl Reply) -> Result<(), HandlerError> {
        self
    }
}

impl<T: IntoReply> IntoReply for Result<T, HandlerError> {
    fn into_reply(self, ack: &mut impl Reply) -> Result<(), HandlerError> {
        self?.into_reply(ack)
    }
}

/// The destination of a handler's return value.
#[doc(hidden)]
pub trait Reply: Send + Sized + 'static {
    /// An ack that could not be sent yet.
    type Waiting: Send + 'static;

    /// Sends the ack, if the other side waits for one.
    ///
    /// # Errors
    ///
    /// Returns an error if the ack could not be sent.
    fn reply<T: Serialize>(&mut self, value: &T) -> Result<(), HandlerError>;

    /// Returns the ack if it could not be sent yet.
    fn into_waiting(self) -> Self::Waiting;
}

/// No ack is sent.
impl Reply for () {
    type Waiting = ();

    fn reply<T: Serialize>(&mut self, _: &T) -> Result<(), HandlerError> {
        Ok(())
    }

    fn into_waiting(self) {}
}

/// Sends only the first ack of an event. The clones of one value belong to the same event.
#[derive(Clone, Debug, Default)]
pub struct FirstAck(Arc<AtomicBool>);

impl FirstAck {
    /// Calls `send`, unless an ack was sent before.
    ///
    /// # Errors
    ///
    /// Returns the error of `send`. Another ack may be sent then.
    pub fn send<T, E>(&self, send: impl FnOnce() -> Result<T, E>) -> Result<Option<T>, E> {
        if self.0.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let sent = send();
        if sent.is_err() {
            self.allow_another();
        }
        sent.map(Some)
    }

    /// Allows another ack, because the one that `send` accepted was not sent after all.
    pub fn allow_another(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The return value of a typed event's handler: the event's own type, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "the handler of this event must return `{R}` or `Result<{R}, HandlerError>`"
)]
pub trait Outcome<R> {
    /// Returns the value.
    ///
    /// # Errors
    ///
    /// Returns the handler's own error.
    fn outcome(self) -> Result<R, HandlerError>;
}

impl<R> Outcome<R> for R {
    fn outcome(self) -> Result<R, HandlerError> {
        Ok(self)
    }
}

impl<R> Outcome<R> for Result<R, HandlerError> {
    fn outcome(self) -> Self {
        self
    }
}
