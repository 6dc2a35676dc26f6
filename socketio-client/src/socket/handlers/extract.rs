//! The extractors: the types that a handler may take as arguments.

use serde::de::DeserializeOwned;
use socketio_parser::Args;

use super::Context;
use crate::{
    error::{ConnectError, DisconnectReason, HandlerError},
    socket::{Ack, Socket},
};

/// An argument of a handler. Applications may implement it for their own types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "take `Socket`, `Data<T>`, `EventName`, `Args`, `Ack`, `DisconnectReason` or `ConnectError`, or implement `Extract`",
    note = "`Result<X, HandlerError>` of each of them works too, and `Option<X>` where it may be missing"
)]
pub trait Extract: Sized + Send + 'static {
    /// Extracts the argument from the data of the event.
    ///
    /// # Errors
    ///
    /// The event has no such data, or the data has another type.
    fn extract(context: &mut Context) -> Result<Self, HandlerError>;
}

/// An argument that may be missing. `Option<Self>` is then also an argument of a handler. Data of
/// another type is an error, also inside an `Option`.
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` cannot be an argument of a handler",
    note = "`Option` is for what may be missing: `Data<T>`, `EventName`, `Args`, `DisconnectReason`, `ConnectError`"
)]
pub trait MaybeExtract: Extract {
    /// Extracts the argument, if there is one.
    ///
    /// # Errors
    ///
    /// The data has another type.
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

/// Extractor: the decoded arguments of the event. A tuple (or array) is the list of arguments, any
/// other type is the first argument. If the arguments have another type, the server receives
/// "invalid arguments", without the names of the types.
///
/// Half of a surrogate pair in a text becomes U+FFFD. A number outside the range of `f64` becomes
/// infinity (null in a dynamic value). Decode an attachment as [`Binary`](crate::Binary), `Bytes`,
/// or inside a [`Value`](crate::Value). For a type without bytes, such as `serde_json::Value`, an
/// attachment is an error.
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
        Ok(Self(
            args.decode()
                .map_err(|error| HandlerError::not_extracted(error, "invalid arguments"))?,
        ))
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeExtract for Data<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        let present = context.args.as_ref().is_some_and(|args| !args.is_empty());
        present.then(|| Self::extract(context)).transpose()
    }
}

/// Extractor: the name of the event, for a handler of several events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventName(pub String);

/// Extractor: details of a [`DisconnectReason`], such as which request failed, or how the server
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

const NO_ARGUMENTS: &str = "the event has no arguments";

/// Implements both traits for types that may be missing, with the error text for that case.
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
    EventName, "not an event handler",
        |context| context.args.as_ref().map(|args| Self(args.event().to_owned()));
    DisconnectDescription, "the disconnection has no description",
        |context| context.description.as_deref().map(|text| Self(text.to_owned()));
    DisconnectReason, "not a handler of `disconnect`", |context| context.reason;
    ConnectError, "not a handler of `connect_error`", |context| context.error.as_deref().cloned();
}
