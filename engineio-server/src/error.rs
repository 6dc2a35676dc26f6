//! Why a request was refused, with the protocol's numbers.

use http::{StatusCode, request::Parts};

/// The numbered errors of the Engine.IO handshake, as a client reads them in the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// 0: the `transport` parameter is missing, unknown or not offered.
    #[error("Transport unknown")]
    UnknownTransport,
    /// 1: no session has this `sid`.
    #[error("Session ID unknown")]
    UnknownSid,
    /// 2: a handshake that is not a GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// 3: anything else that does not fit the session or the protocol.
    #[error("Bad request")]
    BadRequest,
    /// 4: refused by the application.
    #[error("Forbidden")]
    Forbidden,
    /// 4 as well: the address has as many sessions as
    /// [`max_unauthenticated_per_address`](crate::EngineConfig::max_unauthenticated_per_address) allows.
    #[error("Too many unauthenticated sessions")]
    TooManySessions,
    /// 5: the `EIO` parameter names no revision that is served.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// 6, which Node has not: the engine is being drained, or was closed, and opens no new session.
    #[error("Server shutting down")]
    ShuttingDown,
    /// 7, which Node has not: there are [`max_sessions`](crate::EngineConfig::max_sessions) sessions.
    #[error("Too many sessions")]
    SessionLimit,
}

impl RequestError {
    /// The number in the response's body.
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

    /// The status of the response: 403 for [`Forbidden`](Self::Forbidden), 429 for
    /// [`TooManySessions`](Self::TooManySessions), 503 for [`ShuttingDown`](Self::ShuttingDown) and
    /// [`SessionLimit`](Self::SessionLimit), else 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManySessions => StatusCode::TOO_MANY_REQUESTS,
            Self::ShuttingDown | Self::SessionLimit => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Why [`EngineConfig::allow_request`](crate::EngineConfig::allow_request) lets a client not in, as the client reads it:
/// `{"code":4,"message":"…"}` with status 403.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[must_use]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal with this message instead of "Forbidden".
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The number in the body (default 4, which is what clients of the protocol know).
    pub fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// The status of the response (default 403).
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

/// A request that was refused, as [`EngineConfig::connection_error`](crate::EngineConfig::connection_error) is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// The head of the request.
    pub request: &'a Parts,
    /// What was wrong.
    pub error: RequestError,
    /// The number in the response.
    pub code: u16,
    /// The message in the response.
    pub message: &'a str,
    /// What was wrong, more closely.
    pub context: &'a ErrorContext,
}

/// What was wrong with a request beyond its number. The rest is in the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorContext {
    /// The number says it all.
    None,
    /// The request does not fit the transport of its session.
    TransportMismatch,
    /// The request's `EIO` names another revision than that of its session.
    ProtocolMismatch,
    /// The URL of a handshake is longer than [`max_kept_head`](crate::EngineConfig::max_kept_head): status 414.
    UrlTooLong,
    /// A WebSocket was asked for by a request that is none, or the other way round.
    TransportHandshakeError,
    /// [`EngineConfig::generate_id`](crate::EngineConfig::generate_id) failed, or gave an id that cannot be used.
    IdGenerationError(String),
}

impl ErrorContext {
    /// Its name in Node: `TRANSPORT_MISMATCH`, `PROTOCOL_MISMATCH`, `TRANSPORT_HANDSHAKE_ERROR`, `ID_GENERATION_ERROR`,
    /// or nothing; `URL_TOO_LONG` is ours.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
            Self::ProtocolMismatch => "PROTOCOL_MISMATCH",
            Self::UrlTooLong => "URL_TOO_LONG",
            Self::TransportHandshakeError => "TRANSPORT_HANDSHAKE_ERROR",
            Self::IdGenerationError(_) => "ID_GENERATION_ERROR",
        }
    }
}

/// A refusal on its way to the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: RequestError,
    pub(crate) context: ErrorContext,
    pub(crate) refusal: Refusal,
}

impl Refused {
    /// Code 3, for this reason.
    pub(crate) fn bad_request(context: ErrorContext) -> Self {
        Self { context, ..RequestError::BadRequest.into() }
    }

    /// Code 3, for want of an id.
    pub(crate) fn id_generation(error: impl ToString) -> Self {
        Self::bad_request(ErrorContext::IdGenerationError(error.to_string()))
    }

    /// Code 3 and status 414.
    pub(crate) fn url_too_long() -> Self {
        let message = "URL too long".to_owned();
        let refusal = Refusal { status: StatusCode::URI_TOO_LONG, code: 3, message };
        Self { refusal, ..Self::bad_request(ErrorContext::UrlTooLong) }
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
