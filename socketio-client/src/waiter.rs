//! Who waits for an acknowledgement.

use std::time::Duration;

use socketio_parser::{Args, Nsp};
use tokio::sync::oneshot;

use crate::error::AckError;

pub(crate) type Answer = Result<Args, AckError>;

/// Dropping a caller's end tells them that there will be no answer.
#[derive(Debug)]
pub(crate) enum Waiter {
    Caller(oneshot::Sender<Answer>),
    /// The queue of events that are sent until they are acknowledged.
    Retries {
        nsp: Nsp,
        /// From each time the event is sent.
        timeout: Duration,
    },
}
