//! The values that an event handler may return, on either side. The traits are here, so that a type
//! needs to implement them only once for both sides.

use serde::Serialize;

/// A value that an event handler may return. It is sent as the ack that the other side awaits.
/// Servers and clients use the same trait.
///
/// For your own type that is `Serialize`, an empty impl is enough. You can also return it inside
/// [`Json`]. (A blanket impl for every `Serialize` type would make it impossible to recognize a
/// `Result`.)
///
/// ```
/// use serde::Serialize;
/// use socketio_parser::Answer;
///
/// #[derive(Serialize)]
/// struct Receipt { length: usize }
/// impl Answer for Receipt {}
///
/// // With `socketio_server` or `socketio_client`: `socket.on("say", say)`.
/// async fn say(text: String) -> Receipt {
///     Receipt { length: text.len() }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer an acknowledgement",
    note = "write `impl Answer for {Self} {{}}` if it is `Serialize`, or return `Json(value)`"
)]
pub trait Answer: Serialize {}

macro_rules! answers {
    ($($type:ty),* $(,)?) => { $( impl Answer for $type {} )* };
}

answers!(
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
    crate::Value,
    crate::Values,
    crate::Binary,
    crate::Args,
);

impl<T: Answer> Answer for Vec<T> {}
impl<T: Answer> Answer for Option<T> {}
impl<A: Answer> Answer for (A,) {}
impl<A: Answer, B: Answer> Answer for (A, B) {}
impl<A: Answer, B: Answer, C: Answer> Answer for (A, B, C) {}
impl<A: Answer, B: Answer, C: Answer, D: Answer> Answer for (A, B, C, D) {}

/// Sends any serializable value as the ack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize> Answer for Json<T> {}

/// The return value of a handler: nothing, a value that is sent as the ack, or a `Result` of either
/// with the error type `E` of that side's handlers.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, a value that implements `Answer` (or `Json(value)`), or `Result<_, HandlerError>` of either"
)]
pub trait IntoReply<E> {
    /// Sends the ack.
    ///
    /// # Errors
    ///
    /// Returns the handler's own error, or an error if the ack could not be sent.
    #[doc(hidden)]
    fn into_reply(self, ack: impl Reply<Error = E>) -> Result<(), E>;
}

impl<E> IntoReply<E> for () {
    fn into_reply(self, _: impl Reply<Error = E>) -> Result<(), E> {
        Ok(())
    }
}

impl<T: Answer, E> IntoReply<E> for T {
    fn into_reply(self, ack: impl Reply<Error = E>) -> Result<(), E> {
        ack.reply(&self)
    }
}

impl<T: IntoReply<E>, E> IntoReply<E> for Result<T, E> {
    fn into_reply(self, ack: impl Reply<Error = E>) -> Result<(), E> {
        self?.into_reply(ack)
    }
}

/// The destination of a handler's return value.
#[doc(hidden)]
pub trait Reply {
    /// The error of handlers.
    type Error;

    /// Sends the ack, if the other side waits for one.
    ///
    /// # Errors
    ///
    /// Returns an error if the ack could not be sent.
    fn reply<T: Serialize>(self, answer: &T) -> Result<(), Self::Error>;
}

/// The return value of a typed event's handler: the event's own type, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "the handler of this event must return `{R}` or `Result<{R}, HandlerError>`"
)]
pub trait Outcome<R, E> {
    /// Returns the value.
    ///
    /// # Errors
    ///
    /// Returns the handler's own error.
    fn outcome(self) -> Result<R, E>;
}

impl<R, E> Outcome<R, E> for R {
    fn outcome(self) -> Result<R, E> {
        Ok(self)
    }
}

impl<R, E> Outcome<R, E> for Result<R, E> {
    fn outcome(self) -> Self {
        self
    }
}
