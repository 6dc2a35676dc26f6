//! One node of a cluster. Node's servers can be the other nodes: `interop/cluster/node.mjs` has the
//! same contract.
//!
//! Environment: `PORT` (default: a free port), `NAME`, `ADAPTER` (`memory` for this node alone,
//! `redis`, `redis-sharded`, `redis-streams`, `postgres`, `postgres-log` with the tables of
//! recovery, `mongodb`, `mongodb-ttl` with times of creation, or `nats`), `URL` of the engine (with
//! commas between the nodes of a Redis Cluster), `PREFIX` of channels or name of the collection
//! (default: the adapter's), `RECOVERY`
//! (`1` enables connection state recovery, with `nats` over JetStream), `CRASH_SAFE` (`1` stores
//! the sessions of connected clients too), `PING_INTERVAL` and `PING_TIMEOUT` in milliseconds,
//! `COOKIE` (`1` sets the cookie `io`, for proxies that use it), `ADMIN` (`1` serves the Admin UI
//! in development mode).

mod adapters;

use std::{env, time::Duration};

use rigs::ops;
use socketio_server::{Admin, Cookie, Recovery, Server, ServerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str| env::var(name).ok();
    let ms = |name| -> Result<Option<Duration>, std::num::ParseIntError> {
        setting(name).map(|ms| ms.parse().map(Duration::from_millis)).transpose()
    };
    let mut config = ServerConfig::default();
    if let Some(interval) = ms("PING_INTERVAL")? {
        config = config.engine(|engine| engine.ping_interval(interval));
    }
    if let Some(timeout) = ms("PING_TIMEOUT")? {
        config = config.engine(|engine| engine.ping_timeout(timeout));
    }
    if setting("COOKIE").is_some() {
        config = config.engine(|engine| engine.cookie(Cookie::default()));
    }
    let recovery = setting("RECOVERY").is_some_and(|value| value == "1");
    if recovery {
        let crash_safe = setting("CRASH_SAFE").is_some_and(|value| value == "1");
        config = config.connection_state_recovery(Recovery::default().crash_safe(crash_safe));
    }
    let url = setting("URL").unwrap_or_default();
    let prefix = setting("PREFIX");
    let name = setting("ADAPTER").unwrap_or_else(|| "memory".into());
    config = config.adapter(adapters::named(&name, &url, prefix, recovery).await?);
    let io = Server::with_config(config);
    if setting("ADMIN").is_some() {
        Admin::without_authentication().development(true).instrument(&io)?;
    }
    ops::serve(&io, &setting("NAME").unwrap_or_else(|| "node".into()));
    let port: u16 = setting("PORT").map_or(Ok(0), |port| port.parse())?;
    let listening = io.bind(("127.0.0.1", port)).await?;
    io.joined().await;
    println!("LISTENING {}", listening.local_addr()?);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    io.close();
    io.ended().await;
    listening.stop();
    listening.join().await;
    Ok(())
}
