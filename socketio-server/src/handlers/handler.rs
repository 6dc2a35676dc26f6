//! Handlers: functions of up to six extractors, and their type erasure.

use std::{future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_core::{IntoReply, Outcome, Reply};

use crate::handlers::{extract::Extract, extractors::Data};
use crate::{
    error::HandlerError,
    handlers::{Erased, HandlerFuture, context::Context},
    socket::{Socket, ack::Answering},
};

/// An async function or closure that handles events. It takes up to six [`Extract`] arguments and
/// returns [`IntoReply`].
///
/// ```
/// use socketio_server::{Data, HandlerError, Server, Socket};
///
/// async fn rename(socket: Socket, Data(name): Data<String>) -> Result<bool, HandlerError> {
///     socket.broadcast().emit("renamed", &(socket.id(), &name))?;
///     Ok(true)
/// }
///
/// Server::new().on("rename", rename);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is an async function of up to 6 extractors: `Socket`, `Data<T>`, `Auth<T>`, `State<T>`, `Extension<T>`, `EventName`, `Args`, `Ack`, `DisconnectReason`, an `Option` or `Result` of one, or a type that implements `Extract`",
    note = "it returns `()`, an answer (a type that implements `Answer`, or `Json(value)`), or `Result<_, HandlerError>` of either",
    note = "the closure is `Send + Sync + 'static`, its future `Send + 'static`"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// Starts the handler: extracts its arguments and returns its future.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument cannot be extracted.
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
                let responder = context.responder;
                Ok(Box::pin(async move {
                    let mut waiting = None;
                    let to = Answering { responder: responder.as_ref(), waiting: &mut waiting };
                    future.await.into_reply(to)?;
                    Ok(waiting)
                }))
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

/// An async function or closure that handles a typed event. It takes the socket and the event's
/// arguments, and returns the value of the ack, or a `Result` of it.
///
/// ```
/// use socketio_server::{Event, HandlerError, Server, Socket};
///
/// const ADD: Event<(u32, u32), u32> = Event::new("add");
///
/// async fn add(_: Socket, (a, b): (u32, u32)) -> Result<u32, HandlerError> {
///     a.checked_add(b).ok_or_else(|| HandlerError::public("too much"))
/// }
///
/// Server::new().handle(ADD, add);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `Event<{A}, {R}>`",
    note = "the handler is `async fn(Socket, {A}) -> {R}`, or returns `Result<{R}, HandlerError>`",
    note = "the closure is `Send + Sync + 'static`, its future `Send + 'static`"
)]
pub trait TypedHandler<A, R>:
    Fn(Socket, A) -> <Self as TypedHandler<A, R>>::Future + Send + Sync + 'static
{
    /// The value or `Result` that the handler produces.
    type Outcome: Outcome<R> + Send + 'static;
    /// The future that the handler returns.
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
        let responder = context.responder;
        Ok(Box::pin(async move {
            let mut waiting = None;
            let to = Answering { responder: responder.as_ref(), waiting: &mut waiting };
            to.reply(&future.await.outcome()?)?;
            Ok(waiting)
        }))
    })
}
