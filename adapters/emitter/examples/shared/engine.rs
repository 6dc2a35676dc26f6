//! Connects an emitter to the engine of an address: `redis://`, `redis+sharded://`,
//! `redis+streams://`, `postgres://`, `mongodb://` for the collection `test.events`, `nats://`, or
//! `postgres+log://` and `nats+jetstream://` if the servers keep a log. A `redis` address may list
//! several nodes of a Redis Cluster, separated by commas.

use std::error::Error;

use socketio_emitter::{
    Emitter,
    mongodb::{MongoConfig, mongodb::Client},
    nats::{JetStream, NatsConfig, async_nats},
    postgres::{EventLog, PostgresConfig},
    redis::{Nodes, RedisAdapter},
};

pub(crate) async fn connect(url: &str) -> Result<Emitter, Box<dyn Error>> {
    let (engine, rest) = url.split_once("://").ok_or("not a URL")?;
    Ok(match engine {
        "redis" => Emitter::redis(RedisAdapter::classic(nodes(rest))).await?,
        "redis+sharded" => Emitter::redis_sharded(RedisAdapter::sharded(nodes(rest))).await?,
        "redis+streams" => Emitter::redis_streams(RedisAdapter::streams(nodes(rest))).await?,
        "postgres" | "postgresql" => Emitter::postgres(PostgresConfig::new(url.parse()?)).await?,
        "postgres+log" => {
            let config = PostgresConfig::new(format!("postgres://{rest}").parse()?);
            Emitter::postgres(config.connection_state_recovery(EventLog::default())).await?
        }
        "mongodb" => {
            let database = Client::with_uri_str(url).await?.database("test");
            Emitter::mongodb(MongoConfig::new(database.collection("events")))
        }
        "nats" => Emitter::nats(NatsConfig::new(async_nats::connect(url).await?))?,
        "nats+jetstream" => {
            let config = NatsConfig::new(async_nats::connect(format!("nats://{rest}")).await?);
            Emitter::nats(config.connection_state_recovery(JetStream::default()))?
        }
        other => return Err(format!("unknown engine {other}").into()),
    })
}

/// The nodes of `host:port`, or of several such pairs separated by commas.
fn nodes(hosts: &str) -> Nodes {
    let urls: Vec<_> = hosts.split(',').map(|host| format!("redis://{host}")).collect();
    match &urls[..] {
        [one] => one.as_str().into(),
        _ => urls.into(),
    }
}
