//! A bot in a room of a chat server, which may be Node's. It answers `!time` and `!roll 6`, and
//! greets users who join.
//!
//! ```sh
//! cargo run -p socketio-async-client --example bot -- http://localhost:3000 lobby
//! ```
//!
//! The server has the events `join` (room, with an ack), `say` (room, text), `said` (room, name, text)
//! and `joined` (room, name).

use std::{env, error::Error, time::SystemTime};

use serde_json::json;
use socketio_client::{ClientConfig, Data, HandlerError, Manager, Socket, SocketConfig};

const NAME: &str = "bot";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "http://localhost:3000".to_owned());
    let room = args.next().unwrap_or_else(|| "lobby".to_owned());

    let manager = Manager::with_config(&url, ClientConfig::default().auto_connect(false))?;
    let socket = manager.socket_with("/", SocketConfig::default().auth(&json!({ "name": NAME })));
    // Runs after each connection, because a server forgets the rooms of a lost one.
    socket.on_connect(move |socket: Socket| {
        let room = room.clone();
        async move {
            socket.emit_with_ack::<()>("join", &room).await?;
            println!("joined {room}");
            Ok::<_, HandlerError>(())
        }
    });
    socket.on("joined", |socket: Socket, Data((room, name)): Data<(String, String)>| {
        if name != NAME {
            socket.emit("say", &(room, format!("Welcome, {name}!")))?;
        }
        Ok::<_, HandlerError>(())
    });
    socket.on("said", |socket: Socket, Data(said): Data<(String, String, String)>| {
        let (room, name, text) = said;
        if name != NAME
            && let Some(answer) = answer(&text)
        {
            socket.emit("say", &(room, answer))?;
        }
        Ok::<_, HandlerError>(())
    });
    socket.open();
    tokio::signal::ctrl_c().await?;
    socket.disconnect();
    manager.closed().await;
    Ok(())
}

/// The answer to a message, if it is a command.
fn answer(text: &str) -> Option<String> {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut words = text.split_whitespace();
    match (words.next()?, words.next()) {
        ("!time", None) => Some(format!("{} seconds since 1970", seconds.as_secs())),
        ("!roll", sides) => match sides.unwrap_or("6").parse::<u32>() {
            Ok(sides) if sides > 0 => {
                Some(format!("{} of {sides}", 1 + seconds.subsec_nanos() % sides))
            }
            _ => Some("Usage: !roll [sides]".to_owned()),
        },
        _ => None,
    }
}
