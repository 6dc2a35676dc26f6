//! Why a request was refused, with the protocol's numbers.

use http::StatusCode;

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
    /// 5: the `EIO` parameter names no revision that is served.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// 6, which Node has not: the engine is being drained, or was closed, and opens no new session.
    #[error("Server shutting down")]
    ShuttingDown,
}

impl RequestError {
    /// The number in the response's body.
    pub fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden => 4,
            Self::UnsupportedVersion => 5,
            Self::ShuttingDown => 6,
        }
    }

    /// The status of the response: 403 for [`Forbidden`](Self::Forbidden), 503 for [`ShuttingDown`](Self::ShuttingDown),
    /// else 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
