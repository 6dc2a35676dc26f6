//! Errors of the adapter.

use std::time::Duration;

use socketio_adapter::{AdapterError, MessageError};

/// The reason why an operation with NATS failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// There is no connection at the moment. The client reconnects by itself.
    #[error("not connected to NATS")]
    NotConnected,
    /// NATS did not respond in time.
    #[error("NATS did not respond within {0:?}")]
    Timeout(Duration),
    /// A probe, which a node sends to itself, did not arrive in time. Each node that joins sends one
    /// over the subject of the namespace, over that of a room, and over its own. With a log, it
    /// also sends one to the subject of the log. NATS is slow, or the user must not publish or
    /// subscribe to the subject, which only the `event_callback` of the client reports.
    #[error(
        "nothing arrives on the subject `{subject}` within {timeout:?}: NATS may not permit it"
    )]
    ProbeTimeout {
        /// The first subject on which no probe arrives.
        subject: String,
        /// The time limit.
        timeout: Duration,
    },
    /// JetStream did not respond to the previous request. Further requests fail until the `timeout`
    /// has passed or JetStream is heard of again.
    #[error("JetStream did not respond to the previous request")]
    JetStreamUnresponsive,
    /// The connection was lost before JetStream responded. The request may or may not have been
    /// executed.
    #[error("the connection to NATS was lost")]
    ConnectionLost,
    /// Other nodes have written the session at the same time, again and again.
    #[error("other nodes changed the session at the same time")]
    SessionChanged,
    /// The message exceeds `max_message_bytes`, which the other nodes enforce.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// The message is larger than the NATS server accepts.
    #[error("a message of {bytes} bytes exceeds `max_payload` of NATS, {limit} bytes")]
    TooLarge {
        /// The size of the message, including its header.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// The name of a namespace or a node exceeds 192 bytes, so no subject can contain it.
    #[error("a name of {0} bytes exceeds the limit of 192 bytes")]
    NameTooLong(usize),
    /// The prefix must consist of letters, digits, `_` and `-`, in tokens separated by dots, with
    /// at most 64 bytes.
    #[error("`{0}` is not a valid prefix of subjects")]
    InvalidPrefix(String),
    /// The NATS server runs without JetStream (`nats-server -js`), or the account must not use it.
    /// Connection state recovery needs JetStream.
    #[error("connection state recovery needs JetStream, which this NATS server or account lacks")]
    NoJetStream,
    /// A stream of this name exists, but is incompatible. It has other subjects, keeps another
    /// number of messages per subject (one session, or any number of events of a namespace), or
    /// delivers each message to one reader only.
    #[error("the stream `{0}` exists and serves another purpose")]
    ForeignStream(String),
    /// The stream does not exist and cannot be created.
    #[error("the stream of connection state recovery does not exist")]
    NoStream,
    /// The stream was lost, or trimmed beyond the requested offset.
    #[error("the stream no longer contains the event at the offset")]
    Trimmed,
    /// The stored session cannot be decoded.
    #[error("invalid stored session: {0}")]
    InvalidSession(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// JetStream refused the request.
    #[error("JetStream refused the request: {0}")]
    JetStream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The NATS client has closed, or refused the request.
    #[error("the NATS client failed: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<NatsError> for AdapterError {
    fn from(error: NatsError) -> Self {
        match error {
            NatsError::Message(_) | NatsError::TooLarge { .. } | NatsError::InvalidPrefix(_) => {
                Self::Refused(error.into())
            }
            NatsError::NameTooLong(_) | NatsError::ProbeTimeout { .. } => {
                Self::Denied(error.into())
            }
            NatsError::NotConnected | NatsError::JetStreamUnresponsive => {
                Self::NotConnected(error.into())
            }
            _ => Self::Engine(error.into()),
        }
    }
}
