//! The error of a handler.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use socketio_parser::ArgsError;

use crate::public_error::PublicErrors;

/// The error of a handler or middleware: any error, or one that was made for the other side.
///
/// `?` and `into()` convert every error, and a text, into a `HandlerError`. Such an error is
/// private: the other side gets "internal error" in its ack, and the log (in a server also the
/// namespace's error handler) gets the details. [`public`](Self::public),
/// [`public_message`](Self::public_message) and [`with_data`](Self::with_data) define what the
/// other side may read.
///
/// An error type of the application can define once what the other side may read, and is then used
/// with plain `?`. See [`PublicError`](crate::PublicError). A type that does not implement
/// `std::error::Error` can implement a conversion into `HandlerError` with `From`.
///
/// Because every error converts into it, this type does not implement `Error` itself (as in
/// anyhow).
///
/// ```
/// use socketio_core::HandlerError;
///
/// fn parse(text: &str) -> Result<u32, HandlerError> {
///     text.parse().map_err(HandlerError::public)
/// }
/// assert!(parse("x").is_err_and(|error| error.is_public()));
///
/// let refused = HandlerError::public("not authorized").with_data(&serde_json::json!({ "code": 401 }));
/// assert_eq!(refused.to_string(), "not authorized");
///
/// let private = HandlerError::from(std::io::Error::other("db-3.internal refused user 'app'"));
/// assert_eq!(private.message_for_peer(), "internal error");
///
/// enum Failure {
///     NotFound,
///     Database(std::io::Error),
/// }
///
/// impl From<Failure> for HandlerError {
///     fn from(failure: Failure) -> Self {
///         match failure {
///             Failure::NotFound => Self::public("not found"),
///             Failure::Database(error) => error.into(),
///         }
///     }
/// }
/// assert_eq!(HandlerError::from(Failure::NotFound).message_for_peer(), "not found");
/// # assert!(!HandlerError::from(Failure::Database(std::io::Error::other("x"))).is_public());
/// ```
pub struct HandlerError {
    source: Box<dyn std::error::Error + Send + Sync>,
    data: Option<Value>,
    public_text: PublicText,
}

/// The message of an error for the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PublicText {
    /// A generic text, because the error's own message is private.
    General(&'static str),
    /// The error's own message.
    Message,
    /// A message that was made for the other side.
    Text(String),
}

/// The message of a private error for the other side.
const INTERNAL: PublicText = PublicText::General("internal error");

impl HandlerError {
    /// Creates an error, from an error or a message, that the other side may read. The other side
    /// gets the message in the ack of its event. A client gets the message of a middleware's error
    /// in CONNECT_ERROR.
    pub fn public(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: error.into(), data: None, public_text: PublicText::Message }
    }

    /// Sets the message that the other side may read. The error handler and the log still get the
    /// error's own message.
    ///
    /// ```
    /// use socketio_core::HandlerError;
    ///
    /// fn load() -> Result<(), HandlerError> {
    ///     std::fs::read("/no/such/file").map_err(|error| {
    ///         HandlerError::from(error).public_message("the file is not there at the moment")
    ///     })?;
    ///     Ok(())
    /// }
    /// # let error = load().unwrap_err();
    /// # assert!(error.is_public() && error.to_string().contains("os error"));
    /// # assert_eq!(error.message_for_peer(), "the file is not there at the moment");
    /// ```
    #[must_use]
    pub fn public_message(mut self, message: impl Into<String>) -> Self {
        self.public_text = PublicText::Text(message.into());
        self
    }

    /// Creates the error for received data of another type. The details name types of the
    /// application, so the other side does not get them.
    #[doc(hidden)]
    pub fn not_extracted(error: ArgsError, message: &'static str) -> Self {
        Self { source: error.into(), data: None, public_text: PublicText::General(message) }
    }

    /// Adds data for the other side, which gets it beside the message (`err.data` of a middleware's
    /// error). A value that cannot be serialized is omitted.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Returns whether the other side may read the message.
    pub fn is_public(&self) -> bool {
        !matches!(self.public_text, PublicText::General(_))
    }

    /// Returns the message for the other side: the message of a [public](Self::public) error,
    /// "invalid arguments" or "invalid auth" if the received data is of another type, and "internal
    /// error" for any other error.
    pub fn message_for_peer(&self) -> String {
        match &self.public_text {
            PublicText::General(text) => (*text).to_owned(),
            PublicText::Message => self.to_string(),
            PublicText::Text(text) => text.clone(),
        }
    }

    /// Makes the error public if its type is registered and [`PublicError`](crate::PublicError)
    /// says so. Runs user code.
    #[doc(hidden)]
    #[must_use]
    pub fn resolved(mut self, errors: &PublicErrors) -> Self {
        if self.public_text == INTERNAL
            && let Some(part) = errors.find(&*self.source)
        {
            self.public_text = PublicText::Text(part.message);
            self.data = self.data.or(part.data);
        }
        self
    }

    /// Replaces the error by its message. Runs user code.
    #[doc(hidden)]
    #[must_use]
    pub fn formatted(self) -> Self {
        if self.source.is::<ArgsError>() {
            return self;
        }
        Self { source: self.to_string().into(), ..self }
    }

    /// Returns the text for the log. An error about arguments quotes the received data, which may
    /// be secret.
    #[doc(hidden)]
    pub fn for_log(&self) -> String {
        if self.source.is::<ArgsError>() { "invalid arguments".into() } else { self.to_string() }
    }

    /// Returns the ack in place of a value: `{ "error": "…", "data": … }`. Runs user code.
    #[doc(hidden)]
    pub fn to_ack(&self) -> impl Serialize {
        FailedAck { error: self.message_for_peer(), data: self.data.as_ref() }
    }

    /// Returns the data for the other side.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// Returns the underlying error.
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), data: None, public_text: INTERNAL }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// The ack of a handler that failed.
#[derive(Serialize)]
struct FailedAck<'a> {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}
