//! Emits one event to a cluster from the command line:
//!
//! ```sh
//! cargo run -p socketio-emitter --all-features --example emit -- redis://127.0.0.1 / news '{"hello":1}' room1 room2
//! ```
//!
//! The address says which engine: `redis://`, `redis+sharded://`, `redis+streams://`, `postgres://`, `nats://` and those that
//! `shared/engine.rs` names. Then come the namespace, the event, its argument as JSON, and rooms, if not everybody is meant.

#[path = "shared/engine.rs"]
mod engine;

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(nsp), Some(event)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: emit URL NAMESPACE EVENT [JSON [ROOM…]]".into());
    };
    let argument: serde_json::Value = serde_json::from_str(&args.next().unwrap_or("null".into()))?;
    let rooms: Vec<String> = args.collect();
    engine::connect(&url).await?.of(&nsp).to(rooms).emit(&event, &argument).await?;
    Ok(())
}
