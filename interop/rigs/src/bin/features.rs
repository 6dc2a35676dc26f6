//! A server with the features that the conformance server lacks, to be tested with other clients:
//! dynamic namespaces, middlewares, listeners, data and rate limits. It also serves clients of
//! Socket.IO v2.
//!
//! Environment variables: `PORT` (3000), `RATE` (number of events that each socket may send at once
//! and per second; no limit by default). The server prints a line with `LISTENING` once it accepts
//! connections, and exits on SIGTERM.

use std::{
    env,
    error::Error,
    sync::atomic::{AtomicU32, Ordering},
};

use serde::Deserialize;
use serde_json::{Value, json};
use socketio_server::{
    Ack, Auth, Data, DisconnectReason, EventName, HandlerError, Json, NamespaceRequest,
    NamespaceVerdict, Params, Rate, RateLimit, Rewrite, Room, Server, ServerConfig, Socket,
};
use tokio::signal::unix::SignalKind;

/// Counts the events sent to a socket.
struct Outgoing(AtomicU32);

#[derive(Deserialize)]
struct Credentials {
    token: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").unwrap_or_else(|_| "3000".to_owned()).parse()?;
    // Node's server accepts WebSockets from pages of every origin.
    let mut config =
        ServerConfig::default().engine(|engine| engine.allow_eio3(true).check_origin(false));
    if let Ok(rate) = env::var("RATE") {
        let rate = rate.parse()?;
        config = config.rate_limit(RateLimit::default().events(Rate::per_second(rate)));
    }
    let io = Server::with_config(config);
    dynamic(&io)?;
    middlewares(&io);
    listeners(&io);
    attributes(&io);
    ends(&io);
    let listening = io.bind(("127.0.0.1", port)).await?;
    println!("LISTENING on port {port}");
    tokio::signal::unix::signal(SignalKind::terminate())?.recv().await;
    listening.stop();
    io.close();
    io.ended().await;
    Ok(())
}

fn dynamic(io: &Server) -> Result<(), Box<dyn Error>> {
    io.of_pattern("/orders/{id}")?.on_connection(|socket: Socket, params: Params| async move {
        socket.emit("order", &params.get("id"))?;
        Ok(())
    });
    let numbered = io.of_regex(r"^/dynamic-\d+$")?;
    let all = numbered.clone();
    numbered.on("to-all", move |Data(text): Data<String>| {
        let all = all.clone();
        async move {
            all.emit("to-all", &text)?;
            Ok(())
        }
    });
    // A client of v2 sends its credentials in the query of the namespace. `auth` returns them too.
    io.of_fn(|request: NamespaceRequest| async move {
        if !request.name().starts_with("/team-") {
            return Ok(NamespaceVerdict::Pass);
        }
        match request.auth::<Credentials>() {
            Ok(credentials) if credentials.token == "secret" => Ok(NamespaceVerdict::Accept),
            _ => Err(HandlerError::public("Invalid namespace")),
        }
    });
    // This namespace is created before a client connects to it.
    io.of("/team-named");
    let server = io.clone();
    io.on("close-namespace", move |Data(name): Data<String>| {
        let server = server.clone();
        async move { server.close_namespace(&name) }
    });
    Ok(())
}

fn middlewares(io: &Server) {
    io.of("/refuses").use_(|| async {
        let error = HandlerError::public("not authorized");
        Err::<(), _>(error.with_data(&json!({ "code": 401 })))
    });
    let guarded = io.of("/guarded");
    guarded.on_connection(|socket: Socket| async move {
        socket.use_(
            |EventName(event): EventName, Data(text): Data<String>, rewrite: Rewrite| async move {
                match event.as_str() {
                    "forbidden" => Err(HandlerError::public("not for you")),
                    "whisper" => rewrite.set("say", &text.to_lowercase()),
                    _ => Ok(()),
                }
            },
        );
    });
    guarded.on("say", |Data(text): Data<String>| async move { text });
}

fn listeners(io: &Server) {
    let listeners = io.of("/listeners");
    listeners.on_connection(|socket: Socket| async move {
        socket.set_data(Outgoing(0.into()));
        socket.once("hello", || async { "once" });
        socket.on_any(|socket: Socket, EventName(event): EventName| async move {
            if event != "told" {
                socket.emit("any", &event)?;
            }
            Ok(())
        });
        socket.on_any_outgoing(|socket, _| {
            if let Some(outgoing) = socket.data::<Outgoing>() {
                outgoing.0.fetch_add(1, Ordering::Relaxed);
            }
        });
        socket.join("room")?;
        Ok(())
    });
    listeners.on("told", |socket: Socket| async move {
        socket.data::<Outgoing>().map(|outgoing| outgoing.0.load(Ordering::Relaxed))
    });
    listeners.on_disconnecting(|socket: Socket, reason: DisconnectReason| async move {
        let rooms: Vec<String> = socket.rooms().iter().map(|room| room.to_string()).collect();
        socket.broadcast().emit("left", &(rooms, reason.to_string()))?;
        Ok(())
    });
}

fn attributes(io: &Server) {
    io.on("set", |socket: Socket, Data(value): Data<Value>| async move {
        socket.set_shared(&value)?;
        Ok(())
    });
    io.on("get", |socket: Socket| async move { Ok::<Value, HandlerError>(socket.shared()?) });
    io.on("hurry", || async { "done" });
    io.on("auth", |Auth(auth): Auth<Value>| async move { Json(auth) });
    let server = io.clone();
    io.on("to-no-rooms", move || {
        let server = server.clone();
        async move {
            server.to(Vec::<Room>::new()).emit("cast", &())?;
            Ok::<_, HandlerError>("done")
        }
    });
    io.on("handshake", |socket: Socket| async move {
        let handshake = socket.handshake();
        let headers = handshake.headers();
        let agent = headers.get("x-agent").and_then(|agent| agent.to_str().ok());
        Json(json!({
            "agent": agent,
            "query": handshake.query().iter().any(|(key, value)| key == "from" && value == "test"),
            "address": handshake.remote_addr().map(|address| address.ip().to_string()),
            "xdomain": handshake.is_cross_domain(),
            "transport": socket.conn().transport().to_string(),
            "upgraded": socket.conn().is_upgraded(),
        }))
    });
}

/// The `auth` of a client: how its connection is to end, and the events to send before.
#[derive(Deserialize)]
struct End {
    how: String,
    events: u32,
    /// The size of the text in each event, in bytes.
    bytes: usize,
    /// Whether the end comes in the connection handler, instead of in the handler of `end`.
    at_once: bool,
}

/// Registers a namespace that sends events to its sockets and then ends them in the requested way.
fn ends(io: &Server) {
    let ends = io.of("/ends");
    ends.use_(|socket: Socket, Auth(end): Auth<End>| async move {
        if end.how != "refuse and close" {
            return Ok(());
        }
        socket.close_connection();
        Err(HandlerError::public("refused"))
    });
    let server = io.clone();
    ends.on_connection(move |socket: Socket, Auth(end): Auth<End>| {
        let server = server.clone();
        async move {
            if end.at_once {
                finish(&server, &socket, &end)?;
            }
            Ok(())
        }
    });
    let server = io.clone();
    ends.on("end", move |socket: Socket, Auth(end): Auth<End>, ack: Ack| {
        let server = server.clone();
        async move {
            finish(&server, &socket, &end)?;
            if end.how == "answer" {
                ack.send("answered")?;
                socket.close_connection();
            }
            Ok(())
        }
    });
}

fn finish(server: &Server, socket: &Socket, end: &End) -> Result<(), HandlerError> {
    let text = "x".repeat(end.bytes);
    for n in 0..end.events {
        socket.emit("last", &(n, &text))?;
    }
    let namespace = server.of("/ends");
    match &*end.how {
        "disconnect" => socket.disconnect(),
        "disconnect the connection" => socket.close_connection(),
        "disconnect sockets" => namespace.to(socket.id()).disconnect_sockets()?,
        "disconnect sockets' connections" => namespace.to(socket.id()).close_connections()?,
        "close the namespace" => drop(server.close_namespace("/ends")),
        "close the server" => server.close(),
        "drain" => {
            let server = server.clone();
            tokio::spawn(async move { server.drain(std::time::Duration::from_millis(50)).await });
        }
        _ => {}
    }
    Ok(())
}
