//! Options of the adapter.

use std::{fmt, sync::Arc, time::Duration};

use socketio_adapter::{ClusterLimits, Heartbeats, internal::bounded_timeout};
use tokio_postgres::{
    NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::{
    connect::{Connect, Connector},
    error::PostgresError,
    recovery::EventLog,
};

/// PostgreSQL refuses notifications of this many bytes or more.
const MAX_PAYLOAD: usize = 8000;

/// PostgreSQL truncates names after this many bytes.
const MAX_NAME: usize = 63;

/// Configuration of a [`PostgresAdapter`](crate::PostgresAdapter) or a
/// [`Publisher`](crate::Publisher). Options that Node's adapter has too have the same defaults.
#[derive(Clone)]
#[must_use]
pub struct PostgresConfig {
    pub(crate) connect: Arc<dyn Connect>,
    database: tokio_postgres::Config,
    channel_prefix: String,
    pub(crate) table: String,
    pub(crate) create_table: bool,
    pub(crate) payload_threshold: usize,
    pub(crate) cleanup_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) limits: ClusterLimits,
    pub(crate) log: Option<Arc<EventLog>>,
}

impl PostgresConfig {
    /// Creates a configuration for a database that is reached without TLS. Parse a URL, or build
    /// the `tokio_postgres::Config` by hand.
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
            log: None,
        }
    }

    /// Connects over TLS with a connector of `tokio-postgres-rustls`, `postgres-native-tls` or your
    /// own (default: no TLS). `sslmode` in the database configuration says whether TLS is required.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    /// use tokio_postgres_rustls::MakeRustlsConnect;
    /// use tokio_rustls::rustls::ClientConfig;
    ///
    /// # fn example(tls: ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
    /// let database = "host=db.example user=chat sslmode=require".parse()?;
    /// let config = PostgresConfig::new(database).tls(MakeRustlsConnect::new(tls));
    /// # Ok(()) }
    /// ```
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

    /// Sets the prefix of channels (default `socket.io`). A channel is named
    /// `{prefix}#{namespace}`, with at most 63 bytes, the limit of PostgreSQL.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .channel_prefix("chat");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// Sets the table for messages that notifications cannot hold (default
    /// `socket_io_attachments`). The name may begin with a schema and a dot. It is not quoted, as
    /// in Node, so its case does not matter.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .table("chat.attachments");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets whether missing tables are created (default `true`). A role that must not create tables
    /// needs an existing one: `(id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload
    /// bytea)`. [`EventLog`] shows those of connection state recovery.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?).create_table(false);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_table(mut self, create: bool) -> Self {
        self.create_table = create;
        self
    }

    /// Sets the size of the JSON, in bytes, from which a message goes through the table (default
    /// and maximum: 8000, because PostgreSQL refuses larger notifications).
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .payload_threshold(4000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payload_threshold(mut self, bytes: usize) -> Self {
        self.payload_threshold = bytes.min(MAX_PAYLOAD);
        self
    }

    /// Sets how often rows older than this interval are deleted from the table (default 30 s, at
    /// least 100 ms). The [log](Self::connection_state_recovery) is trimmed as often.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .cleanup_interval(Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Sets how long the database may take to connect or to respond (default 5 s, at least 1 ms).
    /// When exceeded, the connection counts as broken.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .timeout(Duration::from_secs(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded_timeout(timeout);
        self
    }

    /// Sets how nodes learn of each other (default: each node sends a heartbeat every 5 s, and
    /// counts as gone 10 s after its last one).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter::Heartbeats;
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(6));
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .heartbeats(Heartbeats { interval, timeout });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Sets the maximum size of one message in bytes (default 10 000 000). Larger messages are
    /// neither sent nor fetched from the table.
    ///
    /// ```
    /// use socketio_adapter_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::new("host=localhost user=chat".parse()?)
    ///     .max_message_bytes(1_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_bytes(bytes);
        self
    }

    /// Makes every node able to restore the sessions of all nodes, with the events that a client
    /// missed (default: only the node that lost a session can restore it). Needs two tables, whose
    /// options are [`EventLog`]. All nodes of this library in the cluster must set this option, and
    /// programs that only emit should.
    ///
    /// Node's servers in the same cluster are not affected. Their events arrive as without a log,
    /// so a client that is disconnected at that moment misses them.
    ///
    /// Costs: an event is also inserted into the log, by the statement that sends it, so there are
    /// no further round trips. A node delivers its own events when the database returns them. A
    /// lost connection takes one statement, a restored session two or more.
    ///
    /// ```
    /// use socketio_adapter_postgres::{EventLog, PostgresConfig};
    ///
    /// let config = PostgresConfig::new("postgres://app@localhost/app".parse()?)
    ///     .connection_state_recovery(EventLog::default());
    /// # let _ = config;
    /// # Ok::<(), socketio_adapter_postgres::tokio_postgres::Error>(())
    /// ```
    pub fn connection_state_recovery(mut self, log: EventLog) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    pub(crate) fn check(&self) -> Result<(), PostgresError> {
        let log = self.log.as_deref().map(|log| [log.sequence(), log.sessions_table.clone()]);
        let tables = log.into_iter().flatten().chain([self.table.clone()]);
        if let Some(table) = tables.into_iter().find(|table| !is_table(table)) {
            return Err(PostgresError::InvalidTable(table));
        }
        self.channel("/").map(drop)
    }

    /// Returns the channel of a namespace.
    pub(crate) fn channel(&self, nsp: &str) -> Result<String, PostgresError> {
        let channel = format!("{}#{nsp}", self.channel_prefix);
        match channel.len() <= MAX_NAME && !channel.contains('\0') {
            true => Ok(channel),
            false => Err(PostgresError::InvalidChannel(channel)),
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

/// Returns whether a name needs no quotes. It may begin with a schema and a dot.
fn is_table(table: &str) -> bool {
    let plain = |part: &str| {
        let first = part.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
        first
            && part.len() <= MAX_NAME
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    table.split('.').count() <= 2 && table.split('.').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgresql_would_truncate_are_refused() {
        let config = PostgresConfig::new(tokio_postgres::Config::new());
        assert_eq!(config.channel("/chat").unwrap(), "socket.io#/chat");
        assert!(config.channel(&format!("/{}", "n".repeat(52))).is_ok());
        assert!(config.channel(&format!("/{}", "n".repeat(53))).is_err());
        assert!(config.channel("/\0").is_err());
        assert!(config.check().is_ok());
        assert!(config.table("x; DROP TABLE y").check().is_err());
    }

    #[test]
    fn a_timeout_of_zero_counts_as_a_millisecond() {
        let config = PostgresConfig::new(tokio_postgres::Config::new()).timeout(Duration::ZERO);
        assert_eq!(config.timeout, Duration::from_millis(1));
    }

    #[test]
    fn only_plain_names_of_tables_are_accepted() {
        for good in ["socket_io_attachments", "app.attachments", "_a1"] {
            assert!(is_table(good), "{good}");
        }
        for bad in ["", "a b", "a.b.c", &"a".repeat(64), "1a", "a.", "\"a\"", "a;b"] {
            assert!(!is_table(bad), "{bad}");
        }
    }
}
