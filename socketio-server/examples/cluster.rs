//! One node of a cluster. `ADAPTER=memory` is a cluster of this node alone; back-ends add their names here.
//!
//! Environment: `PORT` (default: a free one), `NAME`, `ADAPTER`, `PING_INTERVAL` and `PING_TIMEOUT` in milliseconds;
//! `COOKIE=1` sets the cookie `io`, for proxies that go by it.

#[path = "cluster/ops.rs"]
mod ops;

use std::{env, time::Duration};

use socketio_server::{Cookie, MemoryCluster, Server, ServerConfig};

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
    config = match setting("ADAPTER").as_deref() {
        None | Some("memory") => config.adapter(MemoryCluster::new().adapter()),
        Some(other) => return Err(format!("no such adapter here: {other}").into()),
    };
    let io = Server::with_config(config);
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
