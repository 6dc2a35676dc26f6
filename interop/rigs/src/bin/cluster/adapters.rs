//! Creates adapters by name, with their defaults.

use std::{error::Error, sync::Arc};

use socketio_adapter_mongodb::{MongoAdapter, MongoConfig, mongodb};
use socketio_adapter_nats::{JetStream, NatsAdapter, NatsConfig, connect_options};
use socketio_adapter_postgres::{EventLog, PostgresAdapter, PostgresConfig};
use socketio_adapter_redis::{Nodes, RedisAdapter};
use socketio_server::{ClusterAdapter, MemoryCluster};

/// Creates an adapter for the engine at `url`. `recovery` enables recovery on any node for adapters
/// where this is an option.
pub(crate) async fn named(
    name: &str,
    url: &str,
    prefix: Option<String>,
    recovery: bool,
) -> Result<Arc<dyn ClusterAdapter>, Box<dyn Error>> {
    Ok(match name {
        "memory" => MemoryCluster::new().adapter(),
        "postgres" | "postgres-log" => {
            let mut config = PostgresConfig::new(url.parse()?);
            if name == "postgres-log" {
                config = config.connection_state_recovery(EventLog::default());
            }
            PostgresAdapter::new(match prefix {
                Some(prefix) => config.channel_prefix(prefix),
                None => config,
            })?
        }
        "redis" => match prefix {
            Some(prefix) => RedisAdapter::classic(nodes(url)).key(prefix).build()?,
            None => RedisAdapter::classic(nodes(url)).build()?,
        },
        "redis-sharded" => match prefix {
            Some(prefix) => RedisAdapter::sharded(nodes(url)).channel_prefix(prefix).build()?,
            None => RedisAdapter::sharded(nodes(url)).build()?,
        },
        "redis-streams" => match prefix {
            Some(prefix) => {
                let streams = RedisAdapter::streams(nodes(url)).stream_name(prefix.clone());
                streams.channel_prefix(prefix).build()?
            }
            None => RedisAdapter::streams(nodes(url)).build()?,
        },
        "mongodb" | "mongodb-ttl" => {
            let database = mongodb::Client::with_uri_str(url).await?.database("test");
            let collection = database.collection(&prefix.unwrap_or_else(|| "events".into()));
            let config = MongoConfig::new(collection);
            MongoAdapter::new(config.add_created_at_field(name == "mongodb-ttl"))
        }
        "nats" => {
            let mut config = NatsConfig::new(connect_options().connect(url).await?);
            if recovery {
                config = config.connection_state_recovery(JetStream::default());
            }
            NatsAdapter::new(match prefix {
                Some(prefix) => config.prefix(prefix),
                None => config,
            })?
        }
        other => return Err(format!("no such adapter here: {other}").into()),
    })
}

/// Parses one address, or those of the nodes of a Redis Cluster: `redis://127.0.0.1:1,127.0.0.1:2`.
fn nodes(url: &str) -> Nodes {
    match url.strip_prefix("redis://").map(|hosts| hosts.split(',').collect::<Vec<_>>()) {
        Some(hosts) if hosts.len() > 1 => {
            hosts.into_iter().map(|host| format!("redis://{host}")).collect::<Vec<_>>().into()
        }
        _ => url.into(),
    }
}
