//! Emits one event to a cluster from the command line:
//!
//! ```sh
//! cargo run -p socketio-emitter --all-features --example emit -- redis://127.0.0.1 / news '{"hello":1}' room1 room2
//! ```
//!
//! The address selects the engine: `redis://`, `redis+sharded://`, `redis+streams://`,
//! `postgres://`, `nats://` and the others in `shared/engine.rs`. The namespace, the event, its
//! argument as JSON, and the rooms follow. Without rooms, all clients of the namespace get the
//! event.

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
    let namespace = engine::connect(&url).await?.of(&nsp);
    match rooms.is_empty() {
        true => namespace.emit(&event, &argument).await?,
        false => namespace.to(rooms).emit(&event, &argument).await?,
    }
    Ok(())
}
