//! The server for the tests of the Rust client. It has the same contract as Node's
//! `interop/servers/peer.mjs`, and the same tests run against both.
//!
//! Environment: `PORT` (3000), `PARSER` (`json` or `msgpack`), `PING_INTERVAL` (25000 ms),
//! `PING_TIMEOUT` (20000 ms), `MAX_PAYLOAD` (1000000 bytes), `TRANSPORTS` (`polling,websocket`),
//! `RECOVERY` (`1` enables connection state recovery), `REFUSE` (`1` refuses all sessions), `LEASH`
//! (`1` ends with the standard input, and thus with the parent process). Prints `LISTENING`.

use std::{
    collections::HashMap,
    env,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use socketio_server::{
    Ack, Args, Data, HandlerError, Handshake, Json, Namespace, Parser, Recovery, Refusal, Server,
    ServerConfig, Socket, State, Transport, Values,
};
use tokio::signal::unix::{SignalKind, signal};

/// State of the whole server, which survives connections.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    attempts: HashMap<String, u32>,
    recorded: Vec<Value>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::with_config(config()?);
    for name in ["/", "/chat", "/locked"] {
        let namespace = io.of(name);
        declare(&namespace);
        rooms(&namespace);
        counted(&namespace);
        ends(&namespace);
    }
    io.of("/locked").use_(guard);
    let listening = io.bind(("127.0.0.1", number("PORT", 3000)?)).await?;
    println!("LISTENING on {}", listening.local_addr()?);
    if variable("LEASH").is_some() {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
    signal(SignalKind::terminate())?.recv().await;
    listening.stop();
    io.close();
    io.ended().await;
    Ok(())
}

fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let mut config = ServerConfig::default().state(Seen::default());
    if variable("RECOVERY").is_some() {
        config = config.connection_state_recovery(Recovery::default());
    }
    if variable("PARSER").as_deref() == Some("msgpack") {
        config = config.parser(Parser::MsgPack);
    }
    if variable("PARSER").as_deref() == Some("json") {
        config = config.parser(Parser::Json);
    }
    let interval = Duration::from_millis(number("PING_INTERVAL", 25_000)?);
    let timeout = Duration::from_millis(number("PING_TIMEOUT", 20_000)?);
    let max_payload = number("MAX_PAYLOAD", 1_000_000)?;
    let names = variable("TRANSPORTS").unwrap_or_else(|| "polling,websocket".to_owned());
    let transports: Vec<_> = names.split(',').filter_map(Transport::parse).collect();
    Ok(config.engine(|engine| {
        let engine = engine
            .ping_interval(interval)
            .ping_timeout(timeout)
            .max_payload(max_payload)
            .transports(&transports)
            .allow_eio3(true);
        match variable("REFUSE") {
            Some(_) => {
                engine.allow_request(|_: Handshake| async { Err(Refusal::new("not today")) })
            }
            None => engine,
        }
    }))
}

fn declare(namespace: &Namespace) {
    namespace.on_connection(|socket: Socket| async move {
        let auth: Value = socket.auth()?;
        socket.emit("welcome", &if auth.is_null() { json!({}) } else { auth })?;
        Ok(())
    });
    namespace.on("echo", |socket: Socket, args: Args| async move {
        socket.emit("echo", &args)?;
        Ok(())
    });
    namespace.on("ack", |args: Args| async move { args });
    // Emits an event with an ack to the client, and sends the ack back as an event.
    namespace.on("ask", |socket: Socket, args: Args| async move {
        let answer: Values = socket.emit_with_ack("question", &args).await?;
        socket.emit("answered", &answer)?;
        Ok(())
    });
    // Emits several events with acks, and sends the acks to a room, because the client may be gone
    // by then.
    namespace.on("survey", |socket: Socket, Data((room, count)): Data<(String, u32)>| async move {
        for n in 0..count {
            let (socket, room) = (socket.clone(), room.clone());
            tokio::spawn(async move {
                let answer: Values = socket.emit_with_ack("question", &n).await?;
                socket.namespace().to(room).emit("cast", &answer)?;
                Ok::<_, HandlerError>(())
            });
        }
    });
    namespace.on("burst", |socket: Socket, Data(count): Data<u32>| async move {
        for n in 0..count {
            socket.ready().await?;
            socket.emit("n", &n)?;
        }
        Ok(())
    });
    namespace.on("large", |Data(length): Data<usize>| async move { "x".repeat(length) });
    // Takes no ack argument, so that the client never gets an ack.
    namespace.on("silence", || async {});
    namespace.on("info", |socket: Socket| async move {
        let handshake = socket.handshake();
        let query: HashMap<_, _> = handshake.query().into_iter().collect();
        let headers = handshake.headers();
        let header = headers.get("x-test").and_then(|value| value.to_str().ok());
        Json(json!({
            "id": socket.id(),
            "transport": socket.conn().transport().to_string(),
            "recovered": socket.recovered(),
            "query": query,
            "header": header,
            "clients": socket.namespace().sockets_count(),
        }))
    });
}

fn rooms(namespace: &Namespace) {
    namespace.on("join", |socket: Socket, Data(room): Data<String>, ack: Ack| async move {
        socket.join(room)?;
        ack.send(&())?;
        Ok(())
    });
    namespace.on("leave", |socket: Socket, Data(room): Data<String>, ack: Ack| async move {
        socket.leave(room);
        ack.send(&())?;
        Ok(())
    });
    namespace.on("cast", |socket: Socket, Data(values): Data<Values>| async move {
        let mut values = values.0;
        let room = if values.is_empty() { None } else { Some(values.remove(0)) };
        if let Some(socketio_server::Value::String(room)) = room {
            socket.namespace().to(room).emit("cast", &Values(values))?;
        }
        Ok(())
    });
    namespace.on("all", |socket: Socket, args: Args| async move {
        socket.namespace().emit("all", &args)?;
        Ok(())
    });
    namespace.on("tick", |socket: Socket, Data((from, count)): Data<(u32, u32)>| async move {
        for n in from..from + count {
            socket.namespace().emit("n", &n)?;
        }
        Ok(())
    });
}

fn counted(namespace: &Namespace) {
    // Acknowledges from the given attempt on, and leaves earlier attempts unanswered.
    namespace.on(
        "flaky",
        |State(seen): State<Seen>, Data((key, from)): Data<(String, u32)>, ack: Ack| async move {
            let attempt = seen.with(|seen| {
                let attempt = seen.attempts.entry(key).or_default();
                *attempt += 1;
                *attempt
            });
            if attempt >= from {
                ack.send(&attempt)?;
            }
            Ok(())
        },
    );
    namespace.on("attempts", |State(seen): State<Seen>, Data(key): Data<String>| async move {
        seen.with(|seen| seen.attempts.get(&key).copied().unwrap_or(0))
    });
    namespace.on("record", |State(seen): State<Seen>, Data(value): Data<Value>| async move {
        seen.with(|seen| seen.recorded.push(value));
    });
    namespace.on("recorded", |State(seen): State<Seen>| async move {
        seen.with(|seen| seen.recorded.clone())
    });
}

fn ends(namespace: &Namespace) {
    namespace.on("kick", |socket: Socket| async move { socket.disconnect() });
    namespace.on("close", |socket: Socket| async move { socket.close_connection() });
    // Closes the connection without a Socket.IO packet.
    namespace.on("lose", |socket: Socket| async move {
        socket.conn().close(engineio_server::Unsent::Send)
    });
    // Blocks all clients for a while, because the server has one thread.
    namespace.on("hang", |Data(millis): Data<u64>| async move {
        std::thread::sleep(Duration::from_millis(millis));
    });
}

async fn guard(socket: Socket) -> Result<(), HandlerError> {
    let auth: Value = socket.auth()?;
    let token = auth.get("token").cloned().unwrap_or_default();
    if token == "secret" {
        return Ok(());
    }
    let error = HandlerError::public("not authorized");
    Err(error.with_data(&json!({ "code": "E_AUTH", "token": token })))
}

impl Seen {
    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    let Some(text) = variable(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("{name}={text} is not a valid number"))
}
