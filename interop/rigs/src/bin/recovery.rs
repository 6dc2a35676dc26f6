//! A server that emits all the time, to show whether a client that loses its connection misses
//! events.
//!
//! Every 2 ms it broadcasts `n` with a number to all clients. With every third number it also
//! broadcasts `room` with the same number, also as binary, to the room that new clients join.
//! Another room, which no client joins, gets events too. Environment: `PORT` (3000), `ALLOW_EIO3`
//! (`1` serves Socket.IO v2 clients).

use std::{env, error::Error, time::Duration};

use socketio_server::{Binary, EmitError, Recovery, Server, ServerConfig, Socket};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").as_deref().unwrap_or("3000").parse()?;
    let v2 = env::var("ALLOW_EIO3").is_ok_and(|value| value == "1");
    let io = Server::with_config(
        ServerConfig::default()
            .connection_state_recovery(Recovery::default())
            .engine(|engine| engine.allow_eio3(v2)),
    );
    io.on_connection(|socket: Socket| async move {
        // A recovered client is already in its rooms.
        if !socket.recovered() {
            socket.join("members")?;
        }
        Ok(())
    });
    let listening = io.bind(("127.0.0.1", port)).await?;
    println!("LISTENING on {}", listening.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = talk(&io) => result?,
        _ = terminate.recv() => {}
    }
    listening.stop();
    io.close();
    io.ended().await;
    Ok(())
}

async fn talk(io: &Server) -> Result<(), EmitError> {
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for n in 0_u32.. {
        pace.tick().await;
        io.emit("n", &n)?;
        if n % 3 == 0 {
            io.to("members").emit("room", &(n, Binary(n.to_be_bytes().to_vec().into())))?;
        }
        io.to("others").emit("not for you", &n)?;
    }
    Ok(())
}
