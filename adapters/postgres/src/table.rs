//! The table of messages that notifications cannot hold.

use std::time::Duration;

use bytes::Bytes;
use socketio_adapter::{ClusterLimits, MessageError};
use tokio_postgres::{Client, types::Type};

use crate::{config::PostgresConfig, error::PostgresError};

/// How many rows one statement deletes. Other requests on the same connection wait for it.
const DELETE_BATCH: u64 = 1000;

/// Key of the advisory lock under which nodes create the table one at a time. `CREATE TABLE IF NOT
/// EXISTS` alone can fail if two nodes start together.
const LOCK: i64 = 0x50c4_e710_a77a;

/// Creates the table if it is missing.
pub(crate) async fn create(client: &Client, config: &PostgresConfig) -> Result<(), PostgresError> {
    let table = &config.table;
    // A role that must not create tables can use an existing one.
    let exists = format!("SELECT 1 WHERE to_regclass('{table}') IS NOT NULL");
    if !config.create_table || !client.query_typed(&exists, &[]).await?.is_empty() {
        return Ok(());
    }
    let create = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
         CREATE TABLE IF NOT EXISTS {table} \
         (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea); COMMIT"
    );
    let created = client.batch_execute(&create).await;
    if created.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(created?)
}

/// Inserts a message and sends a notification with its id in one statement, so that every receiver
/// finds the row.
pub(crate) async fn insert_and_notify(
    client: &Client,
    table: &str,
    channel: &str,
    payload: &[u8],
    (before, after): (&str, &str),
) -> Result<(), PostgresError> {
    let statement = format!(
        "WITH attached AS (INSERT INTO {table} (payload) VALUES ($1) RETURNING id) \
         SELECT pg_notify($2, $3 || id || $4) FROM attached"
    );
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&payload, Type::BYTEA),
        (&channel, Type::TEXT),
        (&before, Type::TEXT),
        (&after, Type::TEXT),
    ];
    client.query_typed(&statement, &params).await?;
    Ok(())
}

/// Fetches the payload of a row, unless it exceeds the limit. The database checks the size before
/// it sends the payload.
pub(crate) async fn fetch(
    client: &Client,
    table: &str,
    id: i64,
    limits: &ClusterLimits,
) -> Result<Result<Bytes, MessageError>, PostgresError> {
    let limit = limits.max_message_bytes;
    let statement = format!(
        "SELECT octet_length(payload)::bigint, CASE WHEN octet_length(payload) <= $2 THEN payload END \
         FROM {table} WHERE id = $1"
    );
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client.query_typed(&statement, &[(&id, Type::INT8), (&most, Type::INT8)]).await?;
    let Some(row) = rows.first() else {
        return Ok(Err(MessageError::Malformed("the attachment does not exist")));
    };
    let bytes: Option<i64> = row.try_get(0)?;
    let payload: Option<&[u8]> = row.try_get(1)?;
    Ok(match (bytes, payload) {
        (_, Some(payload)) => Ok(Bytes::copy_from_slice(payload)),
        (Some(bytes), None) => Err(MessageError::TooLarge {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            limit,
        }),
        (None, None) => Err(MessageError::Malformed("the attachment is empty")),
    })
}

/// Deletes rows older than `age`.
pub(crate) async fn delete_old(
    client: &Client,
    table: &str,
    age: Duration,
) -> Result<(), PostgresError> {
    let statement = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} \
         WHERE created_at < now() - make_interval(secs => $1) LIMIT {DELETE_BATCH})"
    );
    while client.execute_typed(&statement, &[(&age.as_secs_f64(), Type::FLOAT8)]).await?
        == DELETE_BATCH
    {}
    Ok(())
}
