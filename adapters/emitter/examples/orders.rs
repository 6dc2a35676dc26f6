//! Executes commands from its standard input on a cluster, for programs in other languages and for
//! tests.
//!
//! ```sh
//! cargo run -p socketio-emitter --all-features --example orders -- redis://127.0.0.1
//! ```
//!
//! Each line is a command in JSON. The program answers with one line: `OK` when the engine has
//! accepted the message, otherwise the error. `do` is `emit`, `socketsJoin`, `socketsLeave`,
//! `disconnectSockets` or `serverSideEmit`. `nsp`, `to`, `except`, `volatile` and `compress` select
//! the recipients. `args` (with the event first), `rooms` and `close` are the arguments. Binary has
//! the form that `JSON.stringify` gives a `Buffer`.

#[path = "shared/engine.rs"]
mod engine;

use std::error::Error;

use serde::Deserialize;
use socketio_emitter::{Broadcast, Emitter};
use socketio_parser::{Binary, Value, Values};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
enum Operation {
    Emit { args: Vec<serde_json::Value> },
    SocketsJoin { rooms: Vec<String> },
    SocketsLeave { rooms: Vec<String> },
    DisconnectSockets { close: bool },
    ServerSideEmit { args: Vec<serde_json::Value> },
}

#[derive(Deserialize)]
struct Order {
    #[serde(flatten)]
    operation: Operation,
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
    // This thread waits for lines. Other threads keep the connection alive.
    for line in std::io::stdin().lines() {
        match execute(&emitter, &line?).await {
            Ok(()) => println!("OK"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

async fn execute(emitter: &Emitter, line: &str) -> Result<(), Box<dyn Error>> {
    let order: Order = serde_json::from_str(line)?;
    let emitter = emitter.of(&order.nsp);
    let recipients = order.recipients(&emitter);
    match order.operation {
        Operation::Emit { args } => {
            let (event, args) = event(args)?;
            recipients.emit(&event, &args).await?;
        }
        Operation::SocketsJoin { rooms } => recipients.sockets_join(rooms).await?,
        Operation::SocketsLeave { rooms } => recipients.sockets_leave(rooms).await?,
        Operation::DisconnectSockets { close: true } => recipients.close_connections().await?,
        Operation::DisconnectSockets { close: false } => recipients.disconnect_sockets().await?,
        Operation::ServerSideEmit { args } => {
            let (event, args) = event(args)?;
            emitter.server_side_emit(&event, &args).await?;
        }
    }
    Ok(())
}

impl Order {
    fn recipients(&self, emitter: &Emitter) -> Broadcast {
        let mut recipients = emitter.except(self.except.clone());
        // As in Node's program, no rooms mean everybody.
        if !self.to.is_empty() {
            recipients = recipients.to(self.to.clone());
        }
        if self.volatile {
            recipients = recipients.volatile();
        }
        match self.compress {
            Some(compress) => recipients.compress(compress),
            None => recipients,
        }
    }
}

fn event(args: Vec<serde_json::Value>) -> Result<(String, Values), Box<dyn Error>> {
    let mut args = args.into_iter();
    let Some(serde_json::Value::String(event)) = args.next() else {
        return Err("`args` must begin with the name of an event".into());
    };
    Ok((event, Values(args.map(with_buffers).collect())))
}

/// Converts a value and restores the buffers in it.
fn with_buffers(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Array(items) => {
            Value::Array(items.into_iter().map(with_buffers).collect())
        }
        serde_json::Value::Object(object) => match bytes(&object) {
            Some(bytes) => Binary(bytes.into()).into(),
            None => Value::Object(
                object.into_iter().map(|(name, value)| (name, with_buffers(value))).collect(),
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
