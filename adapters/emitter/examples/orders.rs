//! Does to a cluster what it is told on its standard input, for programs in other languages and for tests.
//!
//! ```sh
//! cargo run -p socketio-emitter --all-features --example orders -- redis://127.0.0.1
//! ```
//!
//! Each line is an order in JSON, answered by a line: `OK` when the engine has it, else what went wrong. `do` is `emit`,
//! `socketsJoin`, `socketsLeave`, `disconnectSockets` or `serverSideEmit`; `nsp`, `to`, `except`, `volatile` and `compress` choose;
//! `args` (the event comes first), `rooms` and `close` say the rest. Binary is what `JSON.stringify` makes of a `Buffer`.

#[path = "shared/engine.rs"]
mod engine;

use std::error::Error;

use serde::Deserialize;
use socketio_emitter::{Broadcast, Emitter};
use socketio_parser::{Binary, Value, Values};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
enum Deed {
    Emit { args: Vec<serde_json::Value> },
    SocketsJoin { rooms: Vec<String> },
    SocketsLeave { rooms: Vec<String> },
    DisconnectSockets { close: bool },
    ServerSideEmit { args: Vec<serde_json::Value> },
}

#[derive(Deserialize)]
struct Order {
    #[serde(flatten)]
    deed: Deed,
    nsp: String,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    volatile: bool,
    compress: Option<bool>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: orders URL")?;
    let emitter = engine::connect(&url).await?;
    println!("READY");
    // This thread waits for lines, others keep the connection up.
    for line in std::io::stdin().lines() {
        match obey(&emitter, &line?).await {
            Ok(()) => println!("OK"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

async fn obey(emitter: &Emitter, line: &str) -> Result<(), Box<dyn Error>> {
    let order: Order = serde_json::from_str(line)?;
    let emitter = emitter.of(&order.nsp);
    let chosen = order.chosen(&emitter);
    match order.deed {
        Deed::Emit { args } => {
            let (event, args) = event(args)?;
            chosen.emit(&event, &args).await?;
        }
        Deed::SocketsJoin { rooms } => chosen.sockets_join(rooms).await?,
        Deed::SocketsLeave { rooms } => chosen.sockets_leave(rooms).await?,
        Deed::DisconnectSockets { close } => chosen.disconnect_sockets(close).await?,
        Deed::ServerSideEmit { args } => {
            let (event, args) = event(args)?;
            emitter.server_side_emit(&event, &args).await?;
        }
    }
    Ok(())
}

impl Order {
    fn chosen(&self, emitter: &Emitter) -> Broadcast {
        let mut chosen = emitter.to(self.to.clone()).except(self.except.clone());
        if self.volatile {
            chosen = chosen.volatile();
        }
        match self.compress {
            Some(compress) => chosen.compress(compress),
            None => chosen,
        }
    }
}

fn event(args: Vec<serde_json::Value>) -> Result<(String, Values), Box<dyn Error>> {
    let mut args = args.into_iter();
    let Some(serde_json::Value::String(event)) = args.next() else {
        return Err("`args` begins with no event".into());
    };
    Ok((event, Values(args.map(revived).collect())))
}

/// The same value, with its buffers.
fn revived(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(revived).collect()),
        serde_json::Value::Object(object) => match bytes(&object) {
            Some(bytes) => Binary(bytes.into()).into(),
            None => Value::Object(
                object.into_iter().map(|(name, value)| (name, revived(value))).collect(),
            ),
        },
        other => other.into(),
    }
}

fn bytes(object: &serde_json::Map<String, serde_json::Value>) -> Option<Vec<u8>> {
    (object.get("type")? == "Buffer").then_some(())?;
    let items = object.get("data")?.as_array()?.iter();
    items.map(|item| u8::try_from(item.as_u64()?).ok()).collect()
}
