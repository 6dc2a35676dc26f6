//! What a client sends with its CONNECT packets.

use serde::de::DeserializeOwned;
use socketio_parser::{ArgsError, RawJson};

use crate::error::HandlerError;

/// What came with a CONNECT, as a type of the application's. Nothing is `{}`, as in Node, or else `null`.
pub(crate) fn decode<T: DeserializeOwned>(auth: Option<&RawJson>) -> Result<T, HandlerError> {
    let decoded = match auth {
        Some(auth) => auth.decode(),
        None => serde_json::from_str("{}")
            .or_else(|_| serde_json::from_str("null"))
            .map_err(ArgsError::from),
    };
    decoded.map_err(|error| HandlerError::not_extracted(error, "invalid auth"))
}

/// Bytes that the server keeps of it.
pub(crate) fn size(auth: Option<&RawJson>) -> usize {
    auth.map_or(0, |auth| auth.get().len())
}
