//! The statements for both tables.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use socketio_adapter::{
    ClusterLimits, NodeId, Offset,
    recovery::{PageSize, SavedSession},
};
use tokio::sync::OnceCell;
use tokio_postgres::{
    Client, Row as Columns, Statement,
    types::{ToSql, Type},
};

use super::options::EventLog;
use crate::error::PostgresError;

/// Added to the object id of the table of events: the key of the advisory lock under which events
/// are appended.
const APPEND_LOCK: i64 = 0x50c4_0000_0000_0000;
/// Key of the advisory lock under which nodes create the tables one at a time.
const CREATE_LOCK: i64 = 0x50c4_e710_0106;
/// How many rows one statement deletes. Other requests on the same connection wait for it.
const DELETE_BATCH: u64 = 1000;
/// The longest duration that is passed to PostgreSQL, about 100 years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// The log over one connection.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    client: Arc<Client>,
    options: Arc<EventLog>,
    /// The statements that append, prepared on first use. To plan one takes the database three
    /// times as long as to execute it.
    append_inline: Arc<OnceCell<Statement>>,
    append_attached: Arc<OnceCell<Statement>>,
}

/// An entry of the log.
pub(crate) struct Row {
    pub(crate) id: i64,
    /// The message. `None` if it is larger than a message may be.
    pub(crate) payload: Option<Bytes>,
}

/// Converts an epoch for PostgreSQL, which has no unsigned numbers.
fn number(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}

/// Parses an offset from a client, which can be any text.
pub(super) fn parse_offset(offset: &Offset) -> Option<i64> {
    let digits = offset.bytes().all(|byte| byte.is_ascii_digit());
    if digits { offset.parse().ok() } else { None }
}

impl Log {
    pub(crate) fn new(client: Arc<Client>, options: Arc<EventLog>) -> Self {
        Self { client, options, append_inline: Arc::default(), append_attached: Arc::default() }
    }

    /// Creates the tables that are missing.
    pub(crate) async fn create(&self) -> Result<(), PostgresError> {
        let EventLog { table, sessions_table, .. } = &*self.options;
        let exist = format!(
            "SELECT 1 WHERE to_regclass('{table}') IS NOT NULL \
             AND to_regclass('{sessions_table}') IS NOT NULL"
        );
        if !self.client.query_typed(&exist, &[]).await?.is_empty() {
            return Ok(());
        }
        let create = format!(
            "BEGIN; SELECT pg_advisory_xact_lock({CREATE_LOCK}); \
             CREATE TABLE IF NOT EXISTS {table} \
             (id bigserial, nsp text, payload bytea NOT NULL, PRIMARY KEY (nsp, id)); \
             CREATE TABLE IF NOT EXISTS {sessions_table} (pid text PRIMARY KEY, \
             nsp text NOT NULL, expires_at timestamptz NOT NULL, session bytea NOT NULL, \
             owner text, epoch bigint NOT NULL); COMMIT"
        );
        let created = self.client.batch_execute(&create).await;
        if created.is_err() {
            self.client.batch_execute("ROLLBACK").await?;
        }
        Ok(created?)
    }

    /// Checks that the tables exist and that the role may use them.
    pub(crate) async fn check_privileges(&self) -> Result<(), PostgresError> {
        let EventLog { table, sessions_table, .. } = &*self.options;
        let sequence = self.options.sequence();
        let missing = format!(
            "SELECT CASE WHEN to_regclass(name) IS NULL THEN name || ' does not exist' \
             ELSE 'the privilege ' || privilege || ' on ' || name || ' is missing' END \
             FROM (VALUES ('{table}', 'SELECT'), ('{table}', 'INSERT'), ('{table}', 'DELETE'), \
             ('{sessions_table}', 'SELECT'), ('{sessions_table}', 'INSERT'), \
             ('{sessions_table}', 'UPDATE'), ('{sessions_table}', 'DELETE'), \
             ('{sequence}', 'USAGE'), ('{sequence}', 'UPDATE')) AS needed (name, privilege) \
             WHERE NOT coalesce(CASE WHEN name = '{sequence}' \
             THEN has_sequence_privilege(to_regclass(name), privilege) \
             ELSE has_table_privilege(to_regclass(name), privilege) END, false) LIMIT 1"
        );
        let missing = self.client.query_typed(&missing, &[]).await.map_err(PostgresError::from);
        // The role may not even use the schema.
        let missing = missing.map_err(|error| match error.is_refusal() {
            true => PostgresError::NoLog(error.to_string()),
            false => error,
        });
        match missing?.first() {
            Some(row) => Err(PostgresError::NoLog(row.try_get(0)?)),
            None => Ok(()),
        }
    }

    /// Appends a message and sends a notification that contains it. `members` is the message as
    /// JSON without its first brace. Returns the offset of the message.
    pub(crate) async fn append_inline(
        &self,
        nsp: &str,
        channel: &str,
        members: &str,
    ) -> Result<i64, PostgresError> {
        let statement = self.append_inline.get_or_try_init(async || {
            let append = self.append("convert_to('{' || $2, 'UTF8')");
            let statement = format!(
                "{append} SELECT id, pg_notify($3, '{{\"offset\":\"' || id || '\",' || $2) \
                 FROM appended"
            );
            self.client.prepare_typed(&statement, &[Type::TEXT, Type::TEXT, Type::TEXT]).await
        });
        let row = self.client.query_one(statement.await?, &[&nsp, &members, &channel]).await?;
        Ok(row.try_get(0)?)
    }

    /// Appends a message, inserts it into the table of attachments for nodes without a log, and
    /// sends a notification with both numbers. Returns the offset of the message.
    pub(crate) async fn append_attached(
        &self,
        nsp: &str,
        channel: &str,
        payload: &[u8],
        attachments: &str,
        (before, after): (&str, &str),
    ) -> Result<i64, PostgresError> {
        let statement = self.append_attached.get_or_try_init(async || {
            let append = self.append("$2");
            let statement = format!(
                "{append}, attached AS \
                 (INSERT INTO {attachments} (payload) SELECT $2 FROM place RETURNING id) \
                 SELECT appended.id, pg_notify($3, \
                 '{{\"offset\":\"' || appended.id || '\",' || $4 || attached.id || $5) \
                 FROM appended, attached"
            );
            let types = [Type::TEXT, Type::BYTEA, Type::TEXT, Type::TEXT, Type::TEXT];
            self.client.prepare_typed(&statement, &types).await
        });
        let params: [&(dyn ToSql + Sync); 5] = [&nsp, &payload, &channel, &before, &after];
        let row = self.client.query_one(statement.await?, &params).await?;
        Ok(row.try_get(0)?)
    }

    /// Returns the beginning of a statement that appends `payload`. The number is taken under the
    /// lock, because the rows of `turn` come first.
    fn append(&self, payload: &str) -> String {
        let (table, sequence) = (&self.options.table, self.options.sequence());
        format!(
            "WITH turn AS MATERIALIZED \
             (SELECT pg_advisory_xact_lock({APPEND_LOCK} + '{table}'::regclass::oid::bigint)), \
             place AS MATERIALIZED (SELECT setval('{sequence}', greatest(\
             nextval('{sequence}'), \
             (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS id FROM turn), \
             appended AS (INSERT INTO {table} (id, nsp, payload) \
             SELECT id, $1, {payload} FROM place RETURNING id)"
        )
    }

    /// Returns the number of the last entry of a namespace, or 0.
    pub(crate) async fn end(&self, nsp: &str) -> Result<i64, PostgresError> {
        let statement =
            format!("SELECT coalesce(max(id), 0) FROM {} WHERE nsp = $1", self.options.table);
        let row = self.client.query_typed(&statement, &[(&nsp, Type::TEXT)]).await?;
        row.first().map_or(Ok(0), |row| Ok(row.try_get(0)?))
    }

    /// Returns the entries of a namespace from the number `from` on. They end when either limit of
    /// `size` is reached, for which the entry `from` itself does not count.
    pub(crate) async fn read(
        &self,
        nsp: &str,
        from: i64,
        size: PageSize,
        limits: &ClusterLimits,
    ) -> Result<Vec<Row>, PostgresError> {
        let statement = format!(
            "SELECT id, CASE WHEN octet_length(payload) <= $5 THEN payload END FROM (\
             SELECT id, payload, sum(CASE WHEN id > $2 THEN octet_length(payload) END) \
             OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before \
             FROM {} WHERE nsp = $1 AND id >= $2 ORDER BY id LIMIT $3) AS page \
             WHERE before IS NULL OR before < $4 ORDER BY id",
            self.options.table
        );
        let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        let (packets, bytes) = (number(size.packets.saturating_add(1)), number(size.bytes));
        let max = number(limits.max_message_bytes);
        let params: Params<'_> = &[
            (&nsp, Type::TEXT),
            (&from, Type::INT8),
            (&packets, Type::INT8),
            (&bytes, Type::INT8),
            (&max, Type::INT8),
        ];
        let rows = self.client.query_typed(&statement, params).await?;
        let row = |columns: &Columns| -> Result<Row, PostgresError> {
            let payload: Option<&[u8]> = columns.try_get(1)?;
            Ok(Row { id: columns.try_get(0)?, payload: payload.map(Bytes::copy_from_slice) })
        };
        rows.iter().map(row).collect()
    }

    /// Deletes entries beyond the limits, and expired sessions. Entries are deleted in their order,
    /// so that the log has no gaps.
    pub(crate) async fn delete_old(&self) -> Result<(), PostgresError> {
        let EventLog { table, sessions_table, max_age, max_events } = &*self.options;
        let end = format!(
            "SELECT greatest(coalesce((SELECT id FROM {table} ORDER BY id DESC OFFSET $1 LIMIT 1), 0), \
             (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $2)"
        );
        let events = i64::try_from(*max_events).ok().filter(|events| *events > 0);
        let age = i64::try_from((*max_age).min(FOREVER).as_micros()).unwrap_or(i64::MAX);
        let params: Params<'_> = &[(&events.unwrap_or(i64::MAX), Type::INT8), (&age, Type::INT8)];
        let rows = self.client.query_typed(&end, params).await?;
        let Some(end) = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()? else {
            return Ok(());
        };
        let entries = format!(
            "DELETE FROM {table} WHERE (nsp, id) IN \
             (SELECT nsp, id FROM {table} WHERE id <= $1 ORDER BY id LIMIT {DELETE_BATCH})"
        );
        while self.client.execute_typed(&entries, &[(&end, Type::INT8)]).await? == DELETE_BATCH {}
        let sessions = format!(
            "DELETE FROM {sessions_table} WHERE pid IN \
             (SELECT pid FROM {sessions_table} WHERE expires_at <= now() LIMIT {DELETE_BATCH})"
        );
        while self.client.execute_typed(&sessions, &[]).await? == DELETE_BATCH {}
        Ok(())
    }

    /// Stores encoded sessions, unless the table has one of a later epoch. Of two with the same id,
    /// the later one is stored.
    pub(super) async fn persist(
        &self,
        nsp: &str,
        encoded: &[(&SavedSession, Bytes)],
        ttl: Duration,
    ) -> Result<(), PostgresError> {
        let statement = format!(
            "INSERT INTO {} AS stored (pid, nsp, expires_at, session, owner, epoch) \
             SELECT DISTINCT ON (pid) pid, $1, now() + make_interval(secs => $2), session, owner, \
             epoch FROM unnest($3, $4, $5, $6) WITH ORDINALITY \
             AS saved (pid, session, owner, epoch, n) ORDER BY pid, n DESC \
             ON CONFLICT (pid) DO UPDATE SET (nsp, expires_at, session, owner, epoch) = \
             (excluded.nsp, excluded.expires_at, excluded.session, excluded.owner, excluded.epoch) \
             WHERE stored.epoch <= excluded.epoch",
            self.options.sessions_table
        );
        let sessions = || encoded.iter().map(|(session, _)| session);
        let pids: Vec<_> = sessions().map(|session| &*session.pid).collect();
        let encoded: Vec<_> = encoded.iter().map(|(_, bytes)| &**bytes).collect();
        let owners = sessions().map(|session| session.owner.as_ref().map(NodeId::as_str));
        let owners: Vec<_> = owners.collect();
        let epochs: Vec<_> = sessions().map(|session| number(session.epoch)).collect();
        let params: Params<'_> = &[
            (&nsp, Type::TEXT),
            (&ttl.min(FOREVER).as_secs_f64(), Type::FLOAT8),
            (&pids, Type::TEXT_ARRAY),
            (&encoded, Type::BYTEA_ARRAY),
            (&owners, Type::TEXT_ARRAY),
            (&epochs, Type::INT8_ARRAY),
        ];
        self.client.execute_typed(&statement, params).await?;
        Ok(())
    }

    /// Deletes a session, unless it has a later epoch.
    pub(super) async fn forget(
        &self,
        nsp: &str,
        pid: &str,
        epoch: u64,
    ) -> Result<(), PostgresError> {
        let table = &self.options.sessions_table;
        let statement = format!("DELETE FROM {table} WHERE pid = $1 AND nsp = $2 AND epoch <= $3");
        let epoch = number(epoch);
        let params: Params<'_> = &[(&pid, Type::TEXT), (&nsp, Type::TEXT), (&epoch, Type::INT8)];
        self.client.execute_typed(&statement, params).await?;
        Ok(())
    }

    /// Takes a session out, if the log contains the entry `offset` and the session has no owner
    /// other than `gone`. Of several statements at the same time, one gets the row, because the
    /// others wait for its deletion. Returns the session, or the owner that keeps it.
    pub(super) async fn take(
        &self,
        nsp: &str,
        pid: &str,
        offset: i64,
        gone: Option<&str>,
    ) -> Result<(Option<Bytes>, Option<String>), PostgresError> {
        let EventLog { table, sessions_table, .. } = &*self.options;
        let found = format!(
            "pid = $1 AND nsp = $2 AND expires_at > now() \
             AND EXISTS (SELECT 1 FROM {table} WHERE nsp = $2 AND id = $3)"
        );
        let statement = format!(
            "WITH taken AS (DELETE FROM {sessions_table} WHERE {found} \
             AND (owner IS NULL OR owner = $4) RETURNING session) \
             SELECT (SELECT session FROM taken), \
             (SELECT owner FROM {sessions_table} WHERE {found} AND owner IS DISTINCT FROM $4)"
        );
        let params: Params<'_> =
            &[(&pid, Type::TEXT), (&nsp, Type::TEXT), (&offset, Type::INT8), (&gone, Type::TEXT)];
        let rows = self.client.query_typed(&statement, params).await?;
        let Some(row) = rows.first() else { return Ok((None, None)) };
        let session: Option<&[u8]> = row.try_get(0)?;
        Ok((session.map(Bytes::copy_from_slice), row.try_get(1)?))
    }
}
