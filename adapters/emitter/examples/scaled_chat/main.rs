//! A chat on several nodes: nginx before two servers, Redis between them, and a worker without a
//! server that emits to all clients. `run.sh` in this folder starts all of them.
//!
//! ```sh
//! scaled_chat node NAME      # environment: PORT, REDIS (redis://127.0.0.1)
//! scaled_chat worker         # environment: REDIS, INTERVAL (10), the time between two messages
//! ```

use std::{env, error::Error, net::Ipv4Addr, sync::Arc, time::Duration};

use socketio_emitter::{Emitter, redis::RedisAdapter};
use socketio_server::{Data, HandlerError, Recovery, Server, ServerConfig, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let redis = env::var("REDIS").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    // With streams, a node reads what it has missed while Redis was away, and the session of a lost
    // node is recovered on another.
    let options = RedisAdapter::streams(redis.as_str());
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", name] => node(name.to_owned(), options.build()?).await,
        ["worker"] => worker(Emitter::redis_streams(options).await?).await,
        _ => Err("usage: scaled_chat node NAME | scaled_chat worker".into()),
    }
}

async fn node(name: String, adapter: Arc<RedisAdapter>) -> Result<(), Box<dyn Error>> {
    let config =
        ServerConfig::default().adapter(adapter).connection_state_recovery(Recovery::default());
    let io = Server::with_config(config);
    let greeting = name.clone();
    io.on_connection(move |socket: Socket| {
        socket.emit("node", &greeting)?;
        Ok::<_, HandlerError>(())
    });
    // The ack comes from this node, the event reaches the clients of all nodes.
    io.on("say", move |socket: Socket, Data((from, text)): Data<(String, String)>| {
        socket.namespace().emit("said", &(from, text))?;
        Ok::<_, HandlerError>(name.clone())
    });
    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listening = io.bind((Ipv4Addr::LOCALHOST, port)).await?;
    io.joined().await;
    println!("listening on http://{}", listening.local_addr()?);
    listening.join().await;
    Ok(())
}

async fn worker(emitter: Emitter) -> Result<(), Box<dyn Error>> {
    let seconds: f64 = env::var("INTERVAL").map_or(Ok(10.0), |text| text.parse())?;
    let mut ticks = tokio::time::interval(Duration::try_from_secs_f64(seconds)?);
    for number in 0_u64.. {
        ticks.tick().await;
        emitter.of("/").emit("said", &("worker", format!("message {number}"))).await?;
    }
    Ok(())
}
