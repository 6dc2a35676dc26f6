//! Events that a client received.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{AckId, Args, Nsp, Parser};

use crate::testing::{error::TestError, wire::Wire};

/// An event that a [`TestClient`](super::TestClient) received.
pub struct ReceivedEvent {
    pub(super) args: Args,
    pub(super) id: Option<AckId>,
    pub(super) nsp: Nsp,
    pub(super) parser: Parser,
    pub(super) wire: Arc<Wire>,
}

impl ReceivedEvent {
    /// Returns the name of the event.
    pub fn event(&self) -> &str {
        self.args.event()
    }

    /// Returns the arguments, undecoded.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Decodes the arguments like [`Data`](crate::Data).
    ///
    /// # Errors
    ///
    /// Returns an error if they have another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, TestError> {
        Ok(self.args.decode()?)
    }

    /// Returns whether the server requests an ack.
    pub fn wants_ack(&self) -> bool {
        self.id.is_some()
    }

    /// Sends an ack if the server requested one.
    ///
    /// # Errors
    ///
    /// Returns an error if the ack cannot be encoded or the connection is closed.
    pub async fn ack<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), TestError> {
        match self.id {
            Some(id) => self.wire.post(&[self.parser.encode_ack(&self.nsp, id, args)?]).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ReceivedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedEvent").field("args", &self.args).field("id", &self.id).finish()
    }
}
