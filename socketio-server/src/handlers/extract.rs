//! The traits of a handler's arguments, and the decoding of a client's credentials.

use serde::de::DeserializeOwned;
use socketio_parser::{ArgsError, RawJson};

use crate::{error::HandlerError, handlers::context::Context};

/// An argument of a handler.
///
/// Implement it for your own types. An error is handled as every [`HandlerError`]: it is passed to
/// the namespace's error handler and, if the client waits for an ack, to the client.
///
/// ```
/// use socketio_server::{Context, Extract, HandlerError, Server};
///
/// struct Language(String);
///
/// impl Extract for Language {
///     fn extract(context: &mut Context) -> Result<Self, HandlerError> {
///         let headers = context.socket().handshake().headers();
///         let header = headers.get("accept-language").ok_or_else(|| HandlerError::public("none"))?;
///         Ok(Self(header.to_str()?.to_owned()))
///     }
/// }
///
/// let io = Server::new();
/// io.on("greet", |Language(language): Language| async move { format!("hello in {language}") });
/// ```
///
/// A handler that wants to see the failure takes `Result<X, HandlerError>`:
///
/// ```
/// # use socketio_server::{Data, HandlerError, Server};
/// # let io = Server::new();
/// io.on("age", |age: Result<Data<u8>, HandlerError>| async move {
///     match age {
///         Ok(Data(age)) => format!("{age} years"),
///         Err(_) => "no age at all".to_owned(),
///     }
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "take `Socket`, `Data<T>`, `Auth<T>`, `State<T>`, `Extension<T>`, `EventName`, `Args`, `Ack` or `DisconnectReason`, or implement `Extract`",
    note = "`Result<X, HandlerError>` of each of them works too, and `Option<X>` where it may be missing"
)]
pub trait Extract: Sized + Send + 'static {
    /// Extracts the argument from the event's context.
    ///
    /// # Errors
    ///
    /// Returns an error if the context has no such value, or if the value is of another type.
    fn extract(context: &mut Context) -> Result<Self, HandlerError>;
}

/// An argument that may be missing. `Option<Self>` is then an argument of a handler too.
///
/// `None` means that the value is missing. A value of another type is an error, as without the
/// `Option`.
///
/// ```
/// use socketio_server::{Auth, Server};
///
/// let io = Server::new();
/// io.on("who", |token: Option<Auth<String>>| async move {
///     token.map_or("anybody".to_owned(), |Auth(token)| format!("the owner of {token}"))
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` cannot be an argument of a handler",
    note = "`Option` is for what may be missing: `Data<T>`, `Auth<T>`, `State<T>`, `Extension<T>`, `EventName`, `Args`, `DisconnectReason`"
)]
pub trait MaybeExtract: Extract {
    /// Extracts the argument, if it is there.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
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

/// Decodes the data of a CONNECT packet as a type of the application. Missing data is decoded from
/// `{}`, as in Node, or else from `null`.
pub(crate) fn decode_auth<T: DeserializeOwned>(auth: Option<&RawJson>) -> Result<T, HandlerError> {
    let decoded = match auth {
        Some(auth) => auth.decode(),
        None => serde_json::from_str("{}")
            .or_else(|_| serde_json::from_str("null"))
            .map_err(ArgsError::from),
    };
    decoded.map_err(|error| HandlerError::not_extracted(error, "invalid auth"))
}

/// Returns the number of bytes that the server keeps of the data of a CONNECT packet.
pub(crate) fn auth_size(auth: Option<&RawJson>) -> usize {
    auth.map_or(0, |auth| auth.get().len())
}
