//! The receivers of acks from the server.

use std::time::Duration;

use socketio_parser::{Args, Nsp};
use tokio::sync::oneshot;

use crate::error::AckError;

pub(crate) type AckResult = Result<Args, AckError>;

/// Dropping the sender tells the caller that no ack will come.
#[derive(Debug)]
pub(crate) enum Waiter {
    Caller(oneshot::Sender<AckResult>),
    /// The queue of events that are sent until they are acknowledged.
    Retries {
        nsp: Nsp,
        /// The time limit of each attempt.
        timeout: Duration,
    },
}
