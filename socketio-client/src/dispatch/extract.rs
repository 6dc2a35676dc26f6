//! What a handler may take as an argument.

use serde::de::DeserializeOwned;
use socketio_parser::Args;

use crate::{
    ack::Ack,
    error::{ConnectError, DisconnectReason, HandlerError},
    model::{Context, Socket},
};

/// An argument of a handler. May be implemented for types of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "take `Socket`, `Data<T>`, `EventName`, `Args`, `Ack`, `DisconnectReason` or `ConnectError`, or implement `Extract`",
    note = "`Result<X, HandlerError>` of each of them works too, and `Option<X>` where it may be missing"
)]
pub trait Extract: Sized + Send + 'static {
    /// Takes the argument out of what the event brought.
    ///
    /// # Errors
    ///
    /// The event has no such thing, or it is of another type.
    fn extract(context: &mut Context) -> Result<Self, HandlerError>;
}

/// An argument that may be missing: `Option<Self>` is an argument of a handler too. What is there, but of another type, is an
/// error all the same.
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` cannot be an argument of a handler",
    note = "`Option` is for what may be missing: `Data<T>`, `EventName`, `Args`, `DisconnectReason`, `ConnectError`"
)]
pub trait MaybeExtract: Extract {
    /// Takes the argument, if there is one.
    ///
    /// # Errors
    ///
    /// It is of another type.
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError>;
}

impl<X: MaybeExtract> Extract for Option<X> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        X::maybe_extract(context)
    }
}

impl<X: Extract> Extract for Result<X, HandlerError> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(X::extract(context))
    }
}

/// Extractor: the event's arguments, decoded. A tuple (or array) is the list of arguments, anything else is the first.
/// Of arguments of another type the server is told "invalid arguments", and nothing of the types here.
///
/// Half a surrogate pair in a text is U+FFFD, a number beyond an `f64` is infinity (null in a dynamic
/// value). An attachment is [`Binary`](crate::Binary), `Bytes` or inside of a [`Value`](crate::Value). For a
/// type that takes no bytes, such as `serde_json::Value`, it is an error that says so.
///
/// ```no_run
/// use socketio_client::{Data, Socket};
///
/// # fn add(socket: Socket) {
/// socket.on("one", |Data(text): Data<String>| async move { text });
/// socket.on("two", |Data((a, b)): Data<(u32, Option<u32>)>| async move { a + b.unwrap_or(1) });
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Data<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        let args = context.args.as_ref().ok_or(NO_ARGUMENTS)?;
        Ok(Self(args.decode().map_err(HandlerError::not_extracted)?))
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeExtract for Data<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        let present = context.args.as_ref().is_some_and(|args| !args.is_empty());
        present.then(|| Self::extract(context)).transpose()
    }
}

/// Extractor: the name of the event, for one handler that serves several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventName(pub String);

/// Extractor: more about why a socket was disconnected, beside its [`DisconnectReason`]: which request failed, or how the server
/// broke the protocol. It may be missing.
///
/// ```no_run
/// use socketio_client::{DisconnectDescription, DisconnectReason, Socket};
///
/// # fn add(socket: Socket) {
/// socket.on_disconnect(|reason: DisconnectReason, more: Option<DisconnectDescription>| async move {
///     let more = more.map(|DisconnectDescription(text)| text).unwrap_or_default();
///     println!("{reason} {more}");
/// });
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectDescription(pub String);

impl Extract for Socket {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.socket.clone())
    }
}

impl Extract for Ack {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

const NO_ARGUMENTS: &str = "this handler has no arguments";

/// What may be missing, and what is said where it is.
macro_rules! maybe {
    ($($type:ty, $missing:expr, |$context:ident| $value:expr;)*) => { $(
        impl MaybeExtract for $type {
            fn maybe_extract($context: &mut Context) -> Result<Option<Self>, HandlerError> {
                Ok($value)
            }
        }

        impl Extract for $type {
            fn extract(context: &mut Context) -> Result<Self, HandlerError> {
                Self::maybe_extract(context)?.ok_or_else(|| $missing.into())
            }
        }
    )* };
}

maybe! {
    Args, NO_ARGUMENTS, |context| context.args.clone();
    EventName, "this is no handler of an event",
        |context| context.args.as_ref().map(|args| Self(args.event().to_owned()));
    DisconnectDescription, "nothing more is known",
        |context| context.description.as_deref().map(|text| Self(text.to_owned()));
    DisconnectReason, "this is no handler of a disconnection", |context| context.reason;
    ConnectError, "this is no handler of a failed connection", |context| context.error.as_deref().cloned();
}
