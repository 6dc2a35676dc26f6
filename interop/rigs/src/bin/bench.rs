//! The server for the load generator.
//!
//! Environment variables: `PORT` (3000), `PING_INTERVAL` (25000 ms), `PING_TIMEOUT` (20000 ms),
//! `RUNTIME` (`multi`, or `current` for one thread), `RAW=1` (`echo` and `ack` return their
//! arguments undecoded), `TYPED=1` (they decode a struct), `TUNED=1` (one thread, and `TYPED=1` unless it is set),
//! `DEFLATE=1` (WebSocket messages may be compressed).

use std::{env, process::ExitCode, time::Duration};

use engineio_server::PerMessageDeflate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_server::{
    Ack, Args, Binary, Data, HandlerError, Json, Server, ServerConfig, Socket, Values,
};

/// More sessions than a test opens.
const MAX_SESSIONS: usize = 2_000_000;

pub(crate) fn main() -> ExitCode {
    let tuned = env::var("TUNED").is_ok_and(|value| value == "1");
    let current = env::var("RUNTIME").map_or(tuned, |value| value == "current");
    let mut runtime = if current {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let result = runtime.enable_all().build().and_then(|runtime| runtime.block_on(run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> std::io::Result<()> {
    let interval = Duration::from_millis(number("PING_INTERVAL", 25_000)?);
    let timeout = Duration::from_millis(number("PING_TIMEOUT", 20_000)?);
    let deflate = env::var("DEFLATE").is_ok_and(|value| value == "1");
    let io = Server::with_config(ServerConfig::default().engine(|engine| {
        engine
            .ping_interval(interval)
            .ping_timeout(timeout)
            .max_sessions(MAX_SESSIONS)
            .per_message_deflate(deflate.then(PerMessageDeflate::default))
    }));
    declare(&io);
    let port: u16 = number("PORT", 3000)?;
    let listening = io.bind(("127.0.0.1", port)).await?;
    println!("LISTENING on {}", listening.local_addr()?);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    terminate.recv().await;
    io.close();
    io.ended().await;
    Ok(())
}

/// The argument of `echo` and `ack`.
#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    text: String,
}

fn declare(io: &Server) {
    if env::var("RAW").is_ok_and(|value| value == "1") {
        io.on("echo", |socket: Socket, args: Args| async move {
            socket.emit("echo", &args)?;
            Ok(())
        });
        io.on("ack", |args: Args| async move { args });
    } else if env::var("TYPED").or_else(|_| env::var("TUNED")).is_ok_and(|value| value == "1") {
        io.on("echo", |socket: Socket, Data(message): Data<Message>| async move {
            socket.emit("echo", &message)?;
            Ok(())
        });
        io.on("ack", |Data(message): Data<Message>| async move { Json(message) });
    } else {
        io.on("echo", |socket: Socket, Data(values): Data<Values>| async move {
            socket.emit("echo", &values)?;
            Ok(())
        });
        io.on("ack", |Data(values): Data<Values>| async move { values });
    }
    io.on("bin", |socket: Socket, Data(binary): Data<Binary>| async move {
        socket.emit("bin", &binary)?;
        Ok(())
    });
    // The `json` flood sends nested arrays to this handler, which decodes them to a dynamic value.
    io.on("value", |Data(_): Data<Value>| async {});
    io.on("join", |socket: Socket, Data(room): Data<String>, ack: Ack| async move {
        socket.join(room)?;
        ack.send(&())?;
        Ok(())
    });
    let server = io.clone();
    io.on("cast", move |Data(text): Data<String>| {
        let result = server.emit("cast", &text);
        async move { Ok::<_, HandlerError>(result?) }
    });
    let server = io.clone();
    io.on("roomcast", move |Data((room, text)): Data<(String, String)>| {
        let result = server.to(room).emit("roomcast", &text);
        async move { Ok::<_, HandlerError>(result?) }
    });
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> std::io::Result<T> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| std::io::Error::other(format!("{name}={text} is not a valid number"))),
        Err(_) => Ok(default),
    }
}
