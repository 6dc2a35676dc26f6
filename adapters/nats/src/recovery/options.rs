//! Options of the streams.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType};

/// Options of the two streams that
/// [`NatsConfig::connection_state_recovery`](crate::NatsConfig::connection_state_recovery) needs,
/// one of events and one of sessions. When a stream is full, new entries replace the oldest ones.
///
/// Nodes create missing streams. Existing streams are used as they are, whatever these options say.
/// Change them with NATS's own tools.
#[derive(Clone, Debug)]
#[must_use]
pub struct JetStream {
    max_age: Duration,
    max_messages: u64,
    max_bytes: u64,
    replicas: usize,
    storage: StorageType,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(24 * 60 * 60),
            max_messages: 100_000,
            max_bytes: 256 << 20,
            replicas: 1,
            storage: StorageType::File,
        }
    }
}

impl JetStream {
    /// Sets how long events and sessions are kept (default 24 h, at least 100 ms). Zero removes the
    /// limit. A client whose last event is older gets a new session, so choose a long time if
    /// events are rare. The time must not be shorter than the server's
    /// `max_disconnection_duration`.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how many events of all namespaces together are kept (default 100 000). Zero removes the
    /// limit.
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// Sets the maximum size of each of the two streams in bytes (default 256 MiB). Zero removes
    /// the limit. JetStream refuses to create a stream that may exceed the limits of its server or
    /// account.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many servers of a NATS cluster keep a copy (default 1, at most 5).
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets where the streams are stored (default: in files). Streams in memory are lost with the
    /// NATS server, and clients then get new sessions.
    pub fn storage(mut self, storage: StorageType) -> Self {
        self.storage = storage;
        self
    }

    pub(super) fn events(&self, name: &str, subject: &str) -> Config {
        Config { max_messages: limit(self.max_messages), ..self.stream(name, subject) }
    }

    pub(super) fn sessions(&self, name: &str, subject: &str) -> Config {
        Config { max_messages_per_subject: 1, ..self.stream(name, subject) }
    }

    fn stream(&self, name: &str, subject: &str) -> Config {
        Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            max_bytes: limit(self.max_bytes),
            max_age: self.max_age,
            num_replicas: self.replicas,
            storage: self.storage,
            description: Some("Socket.IO: connection state recovery".to_owned()),
            ..Config::default()
        }
    }
}

/// Converts a limit. JetStream uses -1 for no limit.
fn limit(limit: u64) -> i64 {
    match limit {
        0 => -1,
        limit => i64::try_from(limit).unwrap_or(i64::MAX),
    }
}
