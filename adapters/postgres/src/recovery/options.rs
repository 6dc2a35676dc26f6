//! Options of the tables.

use std::time::Duration;

/// Options of the two tables that
/// [`PostgresConfig::connection_state_recovery`](crate::PostgresConfig::connection_state_recovery)
/// needs, one of events and one of sessions. All nodes of a cluster must use the same tables.
///
/// Nodes create missing tables, unless
/// [`create_table`](crate::PostgresConfig::create_table) forbids it. A role that must not create
/// tables needs existing ones:
///
/// ```sql
/// CREATE TABLE socket_io_log (id bigserial, nsp text, payload bytea NOT NULL,
///     PRIMARY KEY (nsp, id));
/// CREATE TABLE socket_io_sessions (pid text PRIMARY KEY, nsp text NOT NULL,
///     expires_at timestamptz NOT NULL, session bytea NOT NULL,
///     owner text, epoch bigint NOT NULL);
/// GRANT SELECT, INSERT, DELETE ON socket_io_log TO app;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON socket_io_sessions TO app;
/// GRANT USAGE, UPDATE ON SEQUENCE socket_io_log_id_seq TO app;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EventLog {
    pub(crate) table: String,
    pub(crate) sessions_table: String,
    pub(crate) max_age: Duration,
    pub(crate) max_events: u64,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            table: "socket_io_log".into(),
            sessions_table: "socket_io_sessions".into(),
            max_age: Duration::from_secs(24 * 60 * 60),
            max_events: 100_000,
        }
    }
}

impl EventLog {
    /// Sets the table of events (default `socket_io_log`), in the format of
    /// [`PostgresConfig::table`](crate::PostgresConfig::table). Its name may have 56 bytes. Its
    /// sequence is named `{table}_id_seq`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets the table of sessions (default `socket_io_sessions`).
    pub fn sessions_table(mut self, table: impl Into<String>) -> Self {
        self.sessions_table = table.into();
        self
    }

    /// Sets how long events are kept (default 24 h). A client whose last event is older gets a new
    /// session, so choose a long time if events are rare. The time must not be shorter than the
    /// server's `max_disconnection_duration`.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how many events of all namespaces together are kept (default 100 000). Zero removes
    /// the limit. Older events are deleted once per
    /// [`cleanup_interval`](crate::PostgresConfig::cleanup_interval), so the table grows beyond the
    /// limit in the meantime.
    pub fn max_events(mut self, events: u64) -> Self {
        self.max_events = events;
        self
    }

    /// Returns the name that PostgreSQL gives to the sequence of the table of events.
    pub(crate) fn sequence(&self) -> String {
        format!("{}_id_seq", self.table)
    }
}
