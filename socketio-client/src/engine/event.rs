//! What a session tells its owner.

use engineio_parser::{Data, Transport, session::CloseReason};

use super::error::EngineError;

/// What happened in a session.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// A message.
    Message(Data),
    /// The session goes on over this transport.
    Upgraded(Transport),
    /// The server has pinged. The answer is on its way.
    Ping,
    /// The session is over. The last event.
    Closed(Closed),
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Its `Display` gives Node's strings.
    pub(crate) reason: CloseReason,
    /// What failed, where something did.
    pub(crate) error: Option<EngineError>,
}
