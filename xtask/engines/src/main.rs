//! Runs one engine for tests in other languages.
//!
//! `engines redis` (or `redis-cluster`, `postgres`, `mongodb`, `nats`, `nats-jetstream`) prints
//! `READY` and the address of the engine. Then it reads the commands `kill`, `restart`, `pause` and `resume`,
//! one per line, and prints `OK` after each. The address of a Redis Cluster lists all masters:
//! `redis://127.0.0.1:1,127.0.0.1:2`.

use std::io::BufRead;

use engines::{Engine, Error, Mongo, Nats, Postgres, Redis, RedisCluster};

fn main() -> Result<(), Error> {
    let start = |engine: &Engine| serve(engine, engine.url());
    match std::env::args().nth(1).as_deref() {
        Some("redis") => Redis::start().and_then(|engine| start(&engine)),
        Some("postgres") => Postgres::start().and_then(|engine| start(&engine)),
        Some("mongodb") => Mongo::start().and_then(|engine| start(&engine)),
        Some("nats") => Nats::start().and_then(|engine| start(&engine)),
        Some("nats-jetstream") => Nats::with_jetstream().and_then(|engine| start(&engine)),
        Some("redis-cluster") => {
            let cluster = RedisCluster::start()?;
            let url = cluster.urls().join(",").replace(",redis://", ",");
            // Commands for the cluster apply to its first master.
            cluster.masters().first().map_or(Ok(()), |master| serve(master, &url))
        }
        _ => {
            eprintln!("usage: engines redis|redis-cluster|postgres|mongodb|nats|nats-jetstream");
            Ok(())
        }
    }
}

fn serve(engine: &Engine, url: &str) -> Result<(), Error> {
    println!("READY {url}");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "kill" => engine.kill()?,
            "restart" => engine.restart()?,
            "pause" => engine.pause()?,
            "resume" => engine.resume()?,
            _ => continue,
        }
        println!("OK");
    }
    Ok(())
}
