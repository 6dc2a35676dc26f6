//! What can go wrong between a node and NATS.

use std::time::Duration;

use socketio_adapter::AdapterError;

/// Why NATS did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// There is no connection at the moment. The client makes it again.
    #[error("not connected to NATS")]
    Away,
    /// NATS did not answer in time.
    #[error("NATS did not answer within {0:?}")]
    Timeout(Duration),
    /// JetStream has not answered what was asked before, and is not asked again for some time.
    #[error("JetStream is silent")]
    Silent,
    /// The connection was lost before JetStream has answered. Whether it did what it was asked is not known.
    #[error("the connection to NATS was lost")]
    Lost,
    /// The message is larger than NATS takes (`max_payload`) or the other nodes would (`max_message_bytes`).
    #[error("a message of {bytes} bytes, where {limit} are allowed")]
    TooLarge {
        /// Its size, with everything around it.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// A namespace or a node with a name that is too long for a subject: 192 bytes are allowed.
    #[error("a name of {0} bytes, where 192 are allowed")]
    Name(usize),
    /// The prefix is not made of letters, digits, `_` and `-`, in tokens with dots between them, 64 bytes at most.
    #[error("`{0}` is no prefix of subjects")]
    Prefix(String),
    /// The NATS server runs without JetStream (`nats-server -js`), or the account may not use it. Connection state recovery
    /// needs it.
    #[error("NATS has no JetStream here, which connection state recovery needs")]
    NoJetStream,
    /// There is a stream of this name that is none of ours: it has other subjects, keeps another number of messages for
    /// each of them (1 of a session, any of a namespace's events), or gives each to one reader only.
    #[error("the stream `{0}` is used for something else")]
    ForeignStream(String),
    /// There is no stream, and it cannot be made.
    #[error("there is no stream")]
    NoStream,
    /// The stream was lost, or trimmed beyond what was asked for.
    #[error("the stream does not reach back that far")]
    Trimmed,
    /// What is kept as a session is none.
    #[error("no session: {0}")]
    Session(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// JetStream refuses.
    #[error("JetStream: {0}")]
    JetStream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client has ended, or refuses.
    #[error("the client of NATS: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<NatsError> for AdapterError {
    fn from(error: NatsError) -> Self {
        match error {
            NatsError::TooLarge { .. } | NatsError::Name(_) | NatsError::Prefix(_) => {
                Self::Refused(error.into())
            }
            NatsError::Away | NatsError::Silent => Self::Away(error.into()),
            _ => Self::Engine(error.into()),
        }
    }
}
