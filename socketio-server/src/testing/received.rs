//! What a client was sent.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{AckId, Args, Nsp, Parser};

use super::{error::TestError, wire::Wire};

/// An event that a [`TestClient`](super::TestClient) received.
pub struct Received {
    pub(super) args: Args,
    pub(super) id: Option<AckId>,
    pub(super) nsp: Nsp,
    pub(super) parser: Parser,
    pub(super) wire: Arc<Wire>,
}

impl Received {
    /// The name of the event.
    pub fn event(&self) -> &str {
        self.args.event()
    }

    /// The arguments, undecoded.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// The arguments, decoded as [`Data`](crate::Data) decodes them.
    ///
    /// # Errors
    ///
    /// They are of another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, TestError> {
        Ok(self.args.decode()?)
    }

    /// Whether the server waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.id.is_some()
    }

    /// Answers, if the server waits for it.
    ///
    /// # Errors
    ///
    /// The answer cannot be encoded, or the connection is closed.
    pub async fn answer<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), TestError> {
        match self.id {
            Some(id) => self.wire.post(&[self.parser.encode_ack(&self.nsp, id, args)?]).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("args", &self.args).field("id", &self.id).finish()
    }
}
