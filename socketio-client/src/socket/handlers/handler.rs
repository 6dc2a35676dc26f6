//! Handlers: functions of up to six extractors, and the erasure of their types.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
pub(crate) use socketio_core::HandlerFuture;
use socketio_core::{IntoReply, Outcome, Reply};

use super::{
    Context,
    extract::{Data, Extract},
};
use crate::{
    error::HandlerError,
    socket::{Ack, Socket},
};

/// A handler of any type, erased.
pub(crate) type Erased = Arc<dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync>;

/// An async function or closure that handles events: up to six [`Extract`] arguments, returning [`IntoReply`].
///
/// ```no_run
/// use socketio_client::{Data, HandlerError, Socket};
///
/// async fn rename(socket: Socket, Data(name): Data<String>) -> Result<bool, HandlerError> {
///     socket.emit("renaming", &name)?;
///     Ok(true)
/// }
///
/// # fn add(socket: Socket) {
/// socket.on("rename", rename);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is an async function of up to 6 extractors: `Socket`, `Data<T>`, `EventName`, `Args`, `Ack`, `DisconnectReason`, `ConnectError`, an `Option` or `Result` of one, or a type that implements `Extract`",
    note = "it returns `()`, an answer (a type that implements `Answer`, or `Json(value)`), or `Result<_, HandlerError>` of either",
    note = "the closure is `Send + Sync + 'static`, its future `Send + 'static`"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// Extracts the arguments and returns the future of the handler.
    ///
    /// # Errors
    ///
    /// An argument cannot be extracted.
    #[doc(hidden)]
    fn start(&self, context: Context) -> Result<HandlerFuture, HandlerError>;
}

macro_rules! handler {
    ($($argument:ident),*) => {
        impl<F, Fut, R, $($argument,)*> Handler<(R, $($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoReply + 'static,
            $($argument: Extract,)*
        {
            #[allow(non_snake_case, unused_mut, reason = "arguments are named after their types")]
            fn start(&self, mut context: Context) -> Result<HandlerFuture, HandlerError> {
                $(let $argument = $argument::extract(&mut context)?;)*
                let future = self($($argument),*);
                let ack = Ack(context.responder);
                Ok(Box::pin(async move { future.await.into_reply(ack) }))
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);

pub(crate) fn erase<M>(handler: impl Handler<M>) -> Erased {
    Arc::new(move |context| handler.start(context))
}

/// An async function or closure that handles a typed event: it takes the socket and the contract's arguments, and returns
/// the contract's answer, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `Event<{A}, {R}>`",
    note = "the handler is `async fn(Socket, {A}) -> {R}`, or returns `Result<{R}, HandlerError>`",
    note = "the closure is `Send + Sync + 'static`, its future `Send + 'static`"
)]
pub trait TypedHandler<A, R>:
    Fn(Socket, A) -> <Self as TypedHandler<A, R>>::Future + Send + Sync + 'static
{
    /// The type of the ack.
    type Outcome: Outcome<R> + Send + 'static;
    /// The future of the handler.
    type Future: Future<Output = Self::Outcome> + Send + 'static;
}

impl<A, R, F, Fut, O> TypedHandler<A, R> for F
where
    F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
    O: Outcome<R> + Send + 'static,
{
    type Outcome = O;
    type Future = Fut;
}

/// Erases the type of a typed event's handler, which always sends an ack.
pub(crate) fn erase_typed<A, R>(handler: impl TypedHandler<A, R>) -> Erased
where
    A: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
{
    Arc::new(move |mut context: Context| {
        let Data(args) = Data::<A>::extract(&mut context)?;
        let future = handler(context.socket.clone(), args);
        let ack = Ack(context.responder);
        Ok(Box::pin(async move { ack.reply(&future.await.outcome()?) }))
    })
}
