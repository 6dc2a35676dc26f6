//! What is kept, and where.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType};

/// How JetStream keeps what [`NatsConfig::connection_state_recovery`](crate::NatsConfig::connection_state_recovery) needs: a
/// stream of events and one of sessions, whose oldest entries make room for new ones.
///
/// Nodes make the streams that are not there. Streams that are there are used as they are, whatever these options say: change
/// them with NATS's own tools.
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
    /// How long an event and a session are kept (default 24 h; 100 ms or more, zero for as long as there is room). Who got the last
    /// event longer ago than that gets a new session, so let it be long where little is said, and never shorter
    /// than the server's `max_disconnection_duration`.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many events are kept, of all namespaces together (default 100 000; zero for any number).
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// How many bytes each of the two streams takes (default 256 MiB; zero for any number). JetStream refuses to make a stream
    /// that may become larger than its server's or account's limits.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// On how many servers of NATS's own cluster everything is kept (default 1; 5 at most).
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Whether files or memory keep it (default: files). What is in memory is lost with the server: then clients get
    /// new sessions.
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

/// None is -1.
fn limit(limit: u64) -> i64 {
    match limit {
        0 => -1,
        limit => i64::try_from(limit).unwrap_or(i64::MAX),
    }
}
