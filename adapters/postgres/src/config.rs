//! The options of the adapter.

use std::{fmt, sync::Arc, time::Duration};

use socketio_adapter::{ClusterLimits, Heartbeats};
use tokio_postgres::{
    NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::{
    connect::{Connect, Connector},
    error::PostgresError,
};

/// PostgreSQL itself refuses notifications of so many bytes.
const MAX_PAYLOAD: usize = 8000;

/// Which database, and how it is used. The defaults are those of Node's adapter.
#[derive(Clone)]
#[must_use]
pub struct PostgresConfig {
    pub(crate) connect: Arc<dyn Connect>,
    database: tokio_postgres::Config,
    pub(crate) channel_prefix: String,
    pub(crate) table: String,
    pub(crate) create_table: bool,
    pub(crate) payload_threshold: usize,
    pub(crate) cleanup_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) limits: ClusterLimits,
}

impl PostgresConfig {
    /// A database, reached without TLS. Parse a URL or make the configuration by hand.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("postgres://app@localhost/app".parse()?);
    /// # let _ = config;
    /// # Ok::<(), socketio_adapter_postgres::tokio_postgres::Error>(())
    /// ```
    pub fn new(database: tokio_postgres::Config) -> Self {
        Self {
            connect: Arc::new(Connector { database: database.clone(), tls: NoTls }),
            database,
            channel_prefix: "socket.io".into(),
            table: "socket_io_attachments".into(),
            create_table: true,
            payload_threshold: MAX_PAYLOAD,
            cleanup_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            heartbeats: Heartbeats::default(),
            limits: ClusterLimits::default(),
        }
    }

    /// Reaches the database by TLS, through a connector of `tokio-postgres-rustls`, `postgres-native-tls` or your own
    /// (default none). Whether it has to be used says `sslmode` of the configuration.
    pub fn tls<T>(mut self, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        self.connect = Arc::new(Connector { database: self.database.clone(), tls });
        self
    }

    /// What names of channels begin with (default `socket.io`); then come `#` and the namespace. The whole has 63 bytes at
    /// most: PostgreSQL knows no longer names.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// The table of what notifications cannot hold (default `socket_io_attachments`), with its schema before a dot if need
    /// be. As in Node it is not quoted, so capitals do not matter.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Whether the table is made where there is none (default yes). A role that may not make tables needs one that is
    /// there: `(id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)`.
    pub fn create_table(mut self, create: bool) -> Self {
        self.create_table = create;
        self
    }

    /// From how many bytes of JSON on a message goes through the table (default 8000, which is also the most that
    /// PostgreSQL allows).
    pub fn payload_threshold(mut self, bytes: usize) -> Self {
        self.payload_threshold = bytes.min(MAX_PAYLOAD);
        self
    }

    /// How often rows that are older than this are removed from the table (default 30 s).
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// How long the database may take to connect or to answer (default 5 s). Then the connection counts as broken.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How nodes make themselves known (default: every 5 s, gone after 10 s).
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Bytes of one message (default 10 000 000). A larger one is neither sent, nor fetched from the table.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_bytes(bytes);
        self
    }

    pub(crate) fn check(&self) -> Result<(), PostgresError> {
        if !is_table(&self.table) {
            return Err(PostgresError::Table(self.table.clone()));
        }
        self.channel("/").map(drop)
    }

    /// The channel of a namespace.
    pub(crate) fn channel(&self, nsp: &str) -> Result<String, PostgresError> {
        let channel = format!("{}#{nsp}", self.channel_prefix);
        match channel.len() <= 63 && !channel.contains('\0') {
            true => Ok(channel),
            false => Err(PostgresError::Channel(channel)),
        }
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("channel_prefix", &self.channel_prefix)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// A name that needs no quotes, with its schema or without.
fn is_table(table: &str) -> bool {
    let plain = |part: &str| {
        let first = part.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
        first && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    table.split('.').count() <= 2 && table.split('.').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgresql_would_cut_are_refused() {
        let config = PostgresConfig::new(tokio_postgres::Config::new());
        assert_eq!(config.channel("/chat").unwrap(), "socket.io#/chat");
        assert!(config.channel(&format!("/{}", "n".repeat(52))).is_ok());
        assert!(config.channel(&format!("/{}", "n".repeat(53))).is_err());
        assert!(config.channel("/\0").is_err());
        assert!(config.check().is_ok());
        assert!(config.table("x; DROP TABLE y").check().is_err());
    }

    #[test]
    fn names_of_tables_are_plain() {
        for good in ["socket_io_attachments", "app.attachments", "_a1"] {
            assert!(is_table(good), "{good}");
        }
        for bad in ["", "a b", "a.b.c", "1a", "a.", "\"a\"", "a;b"] {
            assert!(!is_table(bad), "{bad}");
        }
    }
}
