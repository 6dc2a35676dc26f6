//! The adapters by name, with their defaults.

use std::{error::Error, sync::Arc};

use socketio_adapter_postgres::{PostgresAdapter, PostgresConfig};
use socketio_server::{ClusterAdapter, MemoryCluster};

/// An adapter for the engine at `url`.
pub(crate) fn named(
    name: &str,
    url: &str,
    prefix: Option<String>,
) -> Result<Arc<dyn ClusterAdapter>, Box<dyn Error>> {
    Ok(match name {
        "memory" => MemoryCluster::new().adapter(),
        "postgres" => {
            let config = PostgresConfig::new(url.parse()?).create_table(true);
            PostgresAdapter::new(match prefix {
                Some(prefix) => config.channel_prefix(prefix),
                None => config,
            })?
        }
        other => return Err(format!("no such adapter here: {other}").into()),
    })
}
