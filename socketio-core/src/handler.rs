//! Handlers: functions of up to six extractors, and the erasure of their types.

use std::{
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Data, Extract, HandlerError, HandlerFuture, IntoReply, Outcome, Reply, panic_message};

/// A function or closure that handles events. It takes up to six [`Extract`] arguments, and returns
/// [`IntoReply`] or a future of it.
///
/// `C` is the context from which the arguments are extracted. `M` distinguishes the implementations
/// and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a function of up to six extractors",
    note = "a handler is an async or plain function or closure of up to six extractors, each with its type: `|socket: Socket, Data(text): Data<String>| async move {{ … }}`",
    note = "it is called for each event, so it must not move captured values out: clone them before `async move`"
)]
pub trait Handler<C: HandlerContext, M>: Send + Sync + 'static {
    /// Starts the handler: extracts its arguments and returns its future.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument cannot be extracted.
    #[doc(hidden)]
    fn start(&self, context: &mut C) -> Result<FutureOf<C>, HandlerError>;
}

// There is only one implementation, whose bounds the compiler checks one by one. It therefore
// reports the one that is not met: an argument, the return value, or the future.
impl<C, F, Args, K> Handler<C, (Args, K)> for F
where
    C: HandlerContext,
    F: Function<Args> + Send + Sync + 'static,
    Args: ExtractAll<C>,
    F::Output: Returned<K>,
    <F::Output as Returned<K>>::Value: IntoReply,
    <F::Output as Returned<K>>::Future: Send + 'static,
{
    fn start(&self, context: &mut C) -> Result<FutureOf<C>, HandlerError> {
        let args = Args::extract_all(context)?;
        let future = self.call(args).into_future();
        let mut reply = context.destination();
        Ok(Box::pin(async move {
            future.await.into_reply(&mut reply)?;
            Ok(reply.into_waiting())
        }))
    }
}

/// The context of a handler, which is also the destination of its return value.
#[doc(hidden)]
pub trait HandlerContext: Send + 'static {
    /// The destination of the return value.
    type Reply: Reply;

    /// Returns the destination of the return value.
    fn destination(&self) -> Self::Reply;
}

/// A function of up to six arguments, which are the tuple `Args`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a function of up to six extractors"
)]
pub trait Function<Args> {
    /// The return value.
    type Output;

    /// Calls the function.
    fn call(&self, args: Args) -> Self::Output;
}

/// The arguments of a handler.
#[doc(hidden)]
pub trait ExtractAll<C>: Sized {
    /// Extracts all arguments, in their order.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument cannot be extracted.
    fn extract_all(context: &mut C) -> Result<Self, HandlerError>;
}

macro_rules! functions {
    ($($argument:ident),*) => {
        impl<F, R, $($argument),*> Function<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> R,
        {
            type Output = R;

            #[allow(non_snake_case, reason = "arguments are named after their types")]
            fn call(&self, ($($argument,)*): ($($argument,)*)) -> R {
                self($($argument),*)
            }
        }

        impl<Context, $($argument: Extract<Context>),*> ExtractAll<Context> for ($($argument,)*) {
            #[allow(unused_variables, reason = "without arguments nothing is extracted")]
            #[inline]
            fn extract_all(context: &mut Context) -> Result<Self, HandlerError> {
                Ok(($($argument::extract(context)?,)*))
            }
        }
    };
}

functions!();
functions!(A);
functions!(A, B);
functions!(A, B, C);
functions!(A, B, C, D);
functions!(A, B, C, D, E);
functions!(A, B, C, D, E, G);

/// The marker of functions that return a future.
#[doc(hidden)]
#[derive(Debug)]
pub enum Async {}

/// The marker of functions that return their value at once.
#[doc(hidden)]
#[derive(Debug)]
pub enum Plain {}

/// The goal of handlers whose return value may have any type that is sent as an ack.
#[doc(hidden)]
#[derive(Debug)]
pub enum Untyped {}

/// The return type of a handler: a value, or a future of a value. `K` is [`Async`] or [`Plain`].
/// `Goal` is [`Untyped`], or the type of a typed event's ack in a tuple.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "the return type of this handler cannot be sent as an ack",
    note = "return `()`, a value that implements `AckValue` (or `Json(value)`), `Result<_, HandlerError>` of either, or a future of these",
    note = "write `impl AckValue for T {{}}` for a type of your own; write `?` or `map_err` for another type of error"
)]
pub trait Returned<K, Goal = Untyped> {
    /// The value.
    type Value;
    /// The future of the value.
    type Future: Future<Output = Self::Value>;

    /// Returns the future of the value.
    fn into_future(self) -> Self::Future;
}

impl<F: Future, Goal> Returned<Async, Goal> for F {
    type Value = F::Output;
    type Future = F;

    fn into_future(self) -> F {
        self
    }
}

impl<V: IntoReply> Returned<Plain> for V {
    type Value = V;
    type Future = Ready<V>;

    fn into_future(self) -> Ready<V> {
        ready(self)
    }
}

impl<R, V: Outcome<R>> Returned<Plain, (R,)> for V {
    type Value = V;
    type Future = Ready<V>;

    fn into_future(self) -> Ready<V> {
        ready(self)
    }
}

/// A function or closure that handles a typed event. It takes the socket and the event's arguments,
/// and returns the value of the ack, or a `Result` of it, or a future of either.
///
/// `S` is the type of the socket. `K` distinguishes the implementations and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `Event<{A}, {R}>`",
    note = "the handler is an async or plain `fn(Socket, {A}) -> {R}`, or returns `Result<{R}, HandlerError>`",
    note = "it is called for each event, so it must not move captured values out: clone them before `async move`"
)]
pub trait TypedHandler<S, A, R, K>:
    Fn(S, A) -> <Self as TypedHandler<S, A, R, K>>::Output + Send + Sync + 'static
{
    /// The return value, or a future of it.
    type Output: Returned<K, (R,), Value = Self::Value, Future = Self::Future>;
    /// The return value.
    type Value: Outcome<R>;
    /// The future of the return value.
    type Future: Future<Output = Self::Value> + Send + 'static;
}

impl<S, A, R, K, F, O> TypedHandler<S, A, R, K> for F
where
    F: Fn(S, A) -> O + Send + Sync + 'static,
    O: Returned<K, (R,)>,
    O::Value: Outcome<R>,
    O::Future: Send + 'static,
{
    type Output = O;
    type Value = O::Value;
    type Future = O::Future;
}

/// A handler with its types erased. Costs one allocation per call.
#[doc(hidden)]
pub type ErasedHandler<C> = Arc<dyn Fn(&mut C) -> Result<FutureOf<C>, HandlerError> + Send + Sync>;

/// The future of a handler with context `C`. Returns the ack if it could not be sent yet.
type FutureOf<C> = HandlerFuture<<<C as HandlerContext>::Reply as Reply>::Waiting>;

/// Erases the types of a handler.
#[doc(hidden)]
pub fn erase<C: HandlerContext, M>(handler: impl Handler<C, M>) -> ErasedHandler<C> {
    Arc::new(move |context: &mut C| handler.start(context))
}

/// Erases the types of a typed event's handler, which always sends an ack.
#[doc(hidden)]
pub fn erase_typed<C, S, A, R, K>(handler: impl TypedHandler<S, A, R, K>) -> ErasedHandler<C>
where
    C: HandlerContext,
    S: Extract<C>,
    A: DeserializeOwned,
    Data<A>: Extract<C>,
    R: Serialize,
{
    Arc::new(move |context: &mut C| {
        let Data(args) = Data::<A>::extract(context)?;
        let future = handler(S::extract(context)?, args).into_future();
        let mut reply = context.destination();
        Ok(Box::pin(async move {
            reply.reply(&future.await.outcome()?)?;
            Ok(reply.into_waiting())
        }))
    })
}

/// The reason why a handler was not started.
#[doc(hidden)]
#[derive(Debug)]
pub enum Unstarted {
    /// An argument could not be extracted.
    NotExtracted(HandlerError),
    /// The handler or an extractor panicked with this message.
    Panicked(String),
}

/// Starts a handler.
///
/// # Errors
///
/// Returns an error if an argument cannot be extracted, or if the handler panics before it returns
/// a future.
#[doc(hidden)]
#[inline]
pub fn start_caught<C: HandlerContext>(
    handler: &ErasedHandler<C>,
    context: &mut C,
) -> Result<FutureOf<C>, Unstarted> {
    match catch_unwind(AssertUnwindSafe(|| handler(context))) {
        Ok(Ok(future)) => Ok(future),
        Ok(Err(error)) => Err(Unstarted::NotExtracted(error)),
        Err(panic) => Err(Unstarted::Panicked(panic_message(&*panic))),
    }
}
