//! What a handler may take as an argument.

use serde::de::DeserializeOwned;
use socketio_parser::Args;

use crate::{
    ack::Ack,
    error::{DisconnectReason, HandlerError},
    model::{Context, Socket},
};

/// An argument of a handler.
///
/// Implement it for types of your own; an error is reported to the namespace's error handler and, where the client
/// waits for an answer, to the client.
///
/// ```
/// use socketio_server::{Context, Extract, HandlerError, Server};
///
/// struct Language(String);
///
/// impl Extract for Language {
///     fn extract(context: &mut Context) -> Result<Self, HandlerError> {
///         let headers = context.socket().handshake().headers();
///         let header = headers.get("accept-language").ok_or_else(|| HandlerError::new("none"))?;
///         Ok(Self(header.to_str()?.to_owned()))
///     }
/// }
///
/// let io = Server::new();
/// io.on("greet", |Language(language): Language| async move { format!("hello in {language}") });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "take `Socket`, `Data<T>`, `Auth<T>`, `Args`, `Ack` or `DisconnectReason`, or implement `Extract`"
)]
pub trait Extract: Sized + Send + 'static {
    /// Takes the argument out of what the event brought.
    ///
    /// # Errors
    ///
    /// The event has no such thing, or it is of another type.
    fn extract(context: &mut Context) -> Result<Self, HandlerError>;
}

impl Extract for Socket {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.socket.clone())
    }
}

/// Extractor: the event's arguments, decoded. A tuple (or array) is the list of arguments, anything else is the first.
///
/// In the handler of a connection or a middleware it is what the client sent with CONNECT, as [`Auth`].
///
/// ```
/// use socketio_server::{Data, Server};
///
/// let io = Server::new();
/// io.on("one", |Data(text): Data<String>| async move { text });
/// io.on("two", |Data((a, b)): Data<(u32, Option<u32>)>| async move { a + b.unwrap_or(1) });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Data<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        match &context.args {
            Some(args) => Ok(Self(args.decode()?)),
            None => context.socket.auth().map(Self),
        }
    }
}

/// Extractor: what the client sent with its CONNECT packet (`auth` in the JavaScript client), decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Auth<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        context.socket.auth().map(Self)
    }
}

/// The event's arguments, undecoded.
impl Extract for Args {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        context.args.clone().ok_or_else(|| HandlerError::new("this handler has no arguments"))
    }
}

impl Extract for Ack {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

impl Extract for DisconnectReason {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        context.reason.ok_or_else(|| HandlerError::new("this is no handler of a disconnection"))
    }
}
