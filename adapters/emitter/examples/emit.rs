//! Emits one event to a cluster from the command line:
//!
//! ```sh
//! cargo run -p socketio-emitter --all-features --example emit -- redis://127.0.0.1 / news '{"hello":1}' room1 room2
//! ```
//!
//! The address says which engine: `redis://`, `redis+sharded://`, `redis+streams://`, `postgres://` or `nats://`. Then come the
//! namespace, the event, its argument as JSON, and rooms, if not everybody is meant.

use std::error::Error;

use socketio_emitter::{
    Emitter,
    nats::{NatsConfig, async_nats},
    postgres::PostgresConfig,
    redis::RedisAdapter,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(nsp), Some(event)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: emit URL NAMESPACE EVENT [JSON [ROOM…]]".into());
    };
    let argument: serde_json::Value = serde_json::from_str(&args.next().unwrap_or("null".into()))?;
    let rooms: Vec<String> = args.collect();
    connect(&url).await?.of(&nsp).to(rooms).emit(&event, &argument).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<Emitter, Box<dyn Error>> {
    let (engine, rest) = url.split_once("://").ok_or("no URL")?;
    let redis = format!("redis://{rest}");
    Ok(match engine {
        "redis" => Emitter::redis(RedisAdapter::classic(redis)).await?,
        "redis+sharded" => Emitter::redis_sharded(RedisAdapter::sharded(redis)).await?,
        "redis+streams" => Emitter::redis_streams(RedisAdapter::streams(redis)).await?,
        "postgres" | "postgresql" => Emitter::postgres(PostgresConfig::new(url.parse()?)).await?,
        "nats" => Emitter::nats(NatsConfig::new(async_nats::connect(url).await?))?,
        other => return Err(format!("no engine of the name {other}").into()),
    })
}
