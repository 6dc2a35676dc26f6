//! What the handler of an event may return, on either side. Here, since one type is to serve both: a trait of each side's own
//! would have to be implemented twice.

use serde::Serialize;

/// A value that the handler of an event may return to answer the acknowledgement that the other side awaits: one trait for
/// servers and clients, so that a type needs it once.
///
/// For a type of your own that is `Serialize`, one empty impl is enough; or return it inside [`Json`]. (A blanket impl
/// for all of `Serialize` would leave no way to tell a `Result` apart.)
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

/// Answers with any serialisable value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize> Answer for Json<T> {}

/// What a handler returns: nothing, a value that answers the acknowledgement, or a `Result` of either with the error `E` of
/// handlers on that side.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, a value that implements `Answer` (or `Json(value)`), or `Result<_, HandlerError>` of either"
)]
pub trait IntoReply<E> {
    /// Answers.
    ///
    /// # Errors
    ///
    /// The handler's own, or the answer could not be sent.
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

/// What takes the answer of a handler.
#[doc(hidden)]
pub trait Reply {
    /// The error of handlers.
    type Error;

    /// Sends the answer, if one is awaited.
    ///
    /// # Errors
    ///
    /// It could not be sent.
    fn reply<T: Serialize>(self, answer: &T) -> Result<(), Self::Error>;
}

/// What the handler of a typed event returns: the contract's own value, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "the handler of this event must return `{R}` or `Result<{R}, HandlerError>`"
)]
pub trait Outcome<R, E> {
    /// The value.
    ///
    /// # Errors
    ///
    /// The handler's own.
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
