//! Long-polling requests, one after another over a persistent connection.
//!
//! The client speaks HTTP/1.1 itself, because an HTTP library holds buffers of some 20 KB for each
//! connection, also while a GET waits for messages. `httparse` parses heads and sizes of chunks.

mod body;
mod connection;
mod cookies;
mod requester;
mod response;

use std::{future::Future, time::Duration};

pub(super) use self::{
    body::{Body, BodyError},
    cookies::Cookies,
    requester::Requester,
};
use super::error::RequestError;

/// The content type of bodies with binary packets, in revision 3.
const BINARY: &str = "application/octet-stream";

/// Limits the time of a future. Fails if it takes longer.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    future: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    let Some(timeout) = timeout else { return future.await };
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => result,
        Err(_) => Err(RequestError::Timeout(timeout)),
    }
}

/// Converts the beginning of a refusal's body to text.
pub(super) fn refusal(body: &[u8]) -> String {
    let beginning = body.get(..requester::MAX_REFUSAL).unwrap_or(body);
    String::from_utf8_lossy(beginning).into_owned()
}

pub(super) fn protocol(error: http::Error) -> RequestError {
    RequestError::Protocol(Box::new(error))
}
