//! The events of a session.

use engineio_parser::{Data, Transport, session::CloseReason};

use super::error::EngineError;

/// An event of a session.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// A message has arrived.
    Message(Data),
    /// The session has switched to this transport.
    Upgraded(Transport),
    /// The server has sent a ping. The session answers it.
    Ping,
    /// The session has ended. This is the last event.
    Closed(Closed),
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The reason. Its `Display` gives Node's texts.
    pub(crate) reason: CloseReason,
    /// The failure, if there was one.
    pub(crate) error: Option<EngineError>,
}
