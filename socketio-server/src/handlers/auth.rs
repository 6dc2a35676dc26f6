//! The data that a client sends with its CONNECT packets.

use serde::de::DeserializeOwned;
use socketio_parser::{ArgsError, RawJson};

use crate::error::HandlerError;

/// Decodes the data of a CONNECT packet as a type of the application. Missing data is decoded from
/// `{}`, as in Node, or else from `null`.
pub(crate) fn decode<T: DeserializeOwned>(auth: Option<&RawJson>) -> Result<T, HandlerError> {
    let decoded = match auth {
        Some(auth) => auth.decode(),
        None => serde_json::from_str("{}")
            .or_else(|_| serde_json::from_str("null"))
            .map_err(ArgsError::from),
    };
    decoded.map_err(|error| HandlerError::not_extracted(error, "invalid auth"))
}

/// Returns the number of bytes that the server keeps of the data.
pub(crate) fn size(auth: Option<&RawJson>) -> usize {
    auth.map_or(0, |auth| auth.get().len())
}
