//! The server for the load generator.
//!
//! Environment variables: `PORT` (3000), `PING_INTERVAL` (25000 ms), `PING_TIMEOUT` (20000 ms),
//! `RUNTIME` (`multi`, or `current` for one thread), `GLOBAL_QUEUE_INTERVAL` (tokio's option of this
//! name; without it, tokio decides), `RAW=1` (`echo` and `ack` return their arguments undecoded),
//! `TYPED=1` (they decode a struct), `TUNED=1` (one thread, and `TYPED=1` unless it is set),
//! `DEFLATE=1` (WebSocket messages may be compressed), `TABLES` (1: with more, as many threads serve
//! one port, each with a runtime and a table of descriptors of its own).

use std::{env, io, net::TcpListener, process::ExitCode, time::Duration};

use engineio_server::PerMessageDeflate;
use rigs::descriptors;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_server::{
    Ack, Args, Binary, Data, HandlerError, Json, Server, ServerConfig, Socket, Values,
};
use tokio::{runtime, signal::unix};

/// More sessions than a test opens.
const MAX_SESSIONS: usize = 2_000_000;

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let tuned = env::var("TUNED").is_ok_and(|value| value == "1");
    let current = env::var("RUNTIME").map_or(tuned, |value| value == "current");
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
    let tables = number("TABLES", 1)?;
    let mut builder = if current || tables > 1 {
        runtime::Builder::new_current_thread()
    } else {
        runtime::Builder::new_multi_thread()
    };
    match number("GLOBAL_QUEUE_INTERVAL", 0)? {
        0 => {}
        polls => {
            builder.global_queue_interval(polls);
        }
    }
    let listeners = descriptors::listeners(number("PORT", 3000)?, tables)?;
    let address = listeners.first().map(TcpListener::local_addr).transpose()?;
    // The threads wake each other's runtimes, so all runtimes exist before the threads separate.
    let runtimes =
        listeners.into_iter().map(|listener| Ok((builder.enable_all().build()?, listener)));
    let runtimes = runtimes.collect::<io::Result<Vec<_>>>()?;
    let threads = descriptors::threads(runtimes, move |(runtime, listener)| {
        runtime.block_on(serve(&io, listener))
    });
    if let Some(address) = address {
        println!("LISTENING on {address}");
    }
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

/// Serves the connections of a listener until SIGTERM.
async fn serve(io: &Server, listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    engineio_server::serve(listener, io.service(), io.engine().config());
    unix::signal(unix::SignalKind::terminate())?.recv().await;
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

fn number<T: std::str::FromStr>(name: &str, default: T) -> io::Result<T> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| io::Error::other(format!("{name}={text} is not a valid number"))),
        Err(_) => Ok(default),
    }
}
