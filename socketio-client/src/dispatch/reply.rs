//! What a handler may return.

use serde::Serialize;

use crate::{ack::Ack, error::HandlerError};

/// A value that a handler may return to answer the server's acknowledgement.
///
/// For a type of your own that is `Serialize`, one empty impl is enough; or return it inside [`Json`]. (A blanket impl
/// for all of `Serialize` would leave no way to tell a `Result` apart.)
///
/// ```no_run
/// use serde::Serialize;
/// use socketio_client::{Answer, Data, Socket};
///
/// #[derive(Serialize)]
/// struct Receipt { length: usize }
/// impl Answer for Receipt {}
///
/// # fn add(socket: Socket) {
/// socket.on("say", |Data(text): Data<String>| async move { Receipt { length: text.len() } });
/// # }
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
    socketio_parser::Value,
    socketio_parser::Values,
    socketio_parser::Binary,
    socketio_parser::Args,
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

/// What a handler returns: nothing, a value that answers the acknowledgement, or a `Result` of either.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, a value that implements `Answer` (or `Json(value)`), or `Result<_, HandlerError>` of either"
)]
pub trait IntoReply {
    /// Answers.
    ///
    /// # Errors
    ///
    /// The handler's own, or the answer could not be sent.
    #[doc(hidden)]
    fn into_reply(self, ack: Ack) -> Result<(), HandlerError>;
}

impl IntoReply for () {
    fn into_reply(self, _: Ack) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<T: Answer> IntoReply for T {
    fn into_reply(self, ack: Ack) -> Result<(), HandlerError> {
        Ok(ack.reply(&self)?)
    }
}

impl<T: IntoReply> IntoReply for Result<T, HandlerError> {
    fn into_reply(self, ack: Ack) -> Result<(), HandlerError> {
        self?.into_reply(ack)
    }
}

/// What the handler of a typed event returns: the contract's own value, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "the handler of this event must return `{R}` or `Result<{R}, HandlerError>`"
)]
pub trait Outcome<R> {
    /// The value.
    ///
    /// # Errors
    ///
    /// The handler's own.
    fn outcome(self) -> Result<R, HandlerError>;
}

impl<R> Outcome<R> for R {
    fn outcome(self) -> Result<R, HandlerError> {
        Ok(self)
    }
}

impl<R> Outcome<R> for Result<R, HandlerError> {
    fn outcome(self) -> Result<R, HandlerError> {
        self
    }
}
