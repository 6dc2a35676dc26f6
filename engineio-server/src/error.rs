//! Refusals of requests, with the error codes of the protocol.

use http::{StatusCode, request::Parts};

/// The error codes of the Engine.IO handshake, which the body of the response contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// 0: the `transport` parameter is missing, unknown or not offered.
    #[error("Transport unknown")]
    UnknownTransport,
    /// 1: no session has this `sid`.
    #[error("Session ID unknown")]
    UnknownSid,
    /// 2: the handshake is not a GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// 3: the request does not fit the session or the protocol in another way.
    #[error("Bad request")]
    BadRequest,
    /// 4: the application refused the client.
    #[error("Forbidden")]
    Forbidden,
    /// Also 4: the address already has
    /// [`max_unauthenticated_per_address`](crate::EngineConfig::max_unauthenticated_per_address)
    /// unauthenticated sessions.
    #[error("Too many unauthenticated sessions")]
    TooManySessions,
    /// 5: the `EIO` parameter does not name a supported revision.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// 6 (not in Node): the engine is draining or closed, and opens no new sessions.
    #[error("Server shutting down")]
    ShuttingDown,
    /// 7 (not in Node): there are already [`max_sessions`](crate::EngineConfig::max_sessions)
    /// sessions.
    #[error("Too many sessions")]
    SessionLimit,
}

impl RequestError {
    /// Returns the code in the body of the response.
    pub fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden | Self::TooManySessions => 4,
            Self::UnsupportedVersion => 5,
            Self::ShuttingDown => 6,
            Self::SessionLimit => 7,
        }
    }

    /// Returns the status of the response: 403 for [`Forbidden`](Self::Forbidden), 429 for
    /// [`TooManySessions`](Self::TooManySessions), 503 for [`ShuttingDown`](Self::ShuttingDown) and
    /// [`SessionLimit`](Self::SessionLimit), otherwise 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManySessions => StatusCode::TOO_MANY_REQUESTS,
            Self::ShuttingDown | Self::SessionLimit => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The refusal of a client by [`EngineConfig::allow_request`](crate::EngineConfig::allow_request).
/// The client gets `{"code":4,"message":"…"}` with status 403.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[must_use]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl Refusal {
    /// Creates a refusal with this message instead of "Forbidden".
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Sets the code in the body (default 4, the code of [`RequestError::Forbidden`]).
    pub fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// Sets the status of the response (default 403).
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl Default for Refusal {
    fn default() -> Self {
        RequestError::Forbidden.into()
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self { status: error.status(), code: error.code().into(), message: error.to_string() }
    }
}

/// A refused request, passed to
/// [`EngineConfig::connection_error`](crate::EngineConfig::connection_error).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// The head of the request.
    pub request: &'a Parts,
    /// The error.
    pub error: RequestError,
    /// The code in the response.
    pub code: u16,
    /// The message in the response.
    pub message: &'a str,
    /// Details of the error.
    pub context: &'a ErrorContext,
}

/// Details of an error, in addition to its code and the request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorContext {
    /// There are no details.
    None,
    /// The transport of the request differs from that of its session.
    TransportMismatch,
    /// The `EIO` of the request differs from that of its session.
    ProtocolMismatch,
    /// The URL of a handshake is longer than [`max_kept_head`](crate::EngineConfig::max_kept_head).
    /// The status is 414.
    UrlTooLong,
    /// A page of another origin requested a WebSocket, see
    /// [`check_origin`](crate::EngineConfig::check_origin).
    ForeignOrigin,
    /// A WebSocket transport was requested without a WebSocket request, or the reverse.
    TransportHandshakeError,
    /// [`EngineConfig::generate_id`](crate::EngineConfig::generate_id) failed, or returned an
    /// unusable id.
    IdGenerationError(String),
}

impl ErrorContext {
    /// Returns the name of the context in Node: `TRANSPORT_MISMATCH`, `PROTOCOL_MISMATCH`,
    /// `TRANSPORT_HANDSHAKE_ERROR`, `ID_GENERATION_ERROR`, or an empty string. `URL_TOO_LONG` and
    /// `FOREIGN_ORIGIN` do not exist in Node.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
            Self::ProtocolMismatch => "PROTOCOL_MISMATCH",
            Self::UrlTooLong => "URL_TOO_LONG",
            Self::ForeignOrigin => "FOREIGN_ORIGIN",
            Self::TransportHandshakeError => "TRANSPORT_HANDSHAKE_ERROR",
            Self::IdGenerationError(_) => "ID_GENERATION_ERROR",
        }
    }
}

/// A refusal that is to be sent to the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: RequestError,
    pub(crate) context: ErrorContext,
    pub(crate) refusal: Refusal,
}

impl Refused {
    /// Creates a refusal with code 3 and this context.
    pub(crate) fn bad_request(context: ErrorContext) -> Self {
        Self { context, ..RequestError::BadRequest.into() }
    }

    /// Creates a refusal with code 3 because no id could be generated.
    pub(crate) fn id_generation(error: impl ToString) -> Self {
        Self::bad_request(ErrorContext::IdGenerationError(error.to_string()))
    }

    /// Creates a refusal with code 3 and status 414.
    pub(crate) fn url_too_long() -> Self {
        let message = "URL too long".to_owned();
        let refusal = Refusal { status: StatusCode::URI_TOO_LONG, code: 3, message };
        Self { refusal, ..Self::bad_request(ErrorContext::UrlTooLong) }
    }

    /// Creates a refusal with code 4 and status 403.
    pub(crate) fn foreign_origin() -> Self {
        let refusal = Refusal::new("Origin not allowed");
        Self { context: ErrorContext::ForeignOrigin, ..refusal.into() }
    }

    pub(crate) fn id_taken() -> Self {
        Self::id_generation("the id belongs to another session")
    }

    pub(crate) fn to_connection_error<'a>(&'a self, request: &'a Parts) -> ConnectionError<'a> {
        ConnectionError {
            request,
            error: self.error,
            code: self.refusal.code,
            message: &self.refusal.message,
            context: &self.context,
        }
    }
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        Self { error, context: ErrorContext::None, refusal: error.into() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { error: RequestError::Forbidden, context: ErrorContext::None, refusal }
    }
}
