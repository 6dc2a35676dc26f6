//! A chat server with its web page. Run it with `cargo xtask demo`, or with
//! `CLIENT_DIR=node_modules/socket.io-client/dist cargo run --release -p chat`.
//!
//! Environment: `PORT` (3000; 0 selects a free port), `NODES` (1; how many servers form a cluster,
//! on this port and the ports after it), `CLIENT_DIR` (folder of the JavaScript client, which the
//! servers then serve; without it, the page loads the client from a public server and says so),
//! `WEBTRANSPORT` (0; 1 also serves WebTransport on the UDP ports of the same numbers, with a fresh
//! certificate whose hash the page passes to the browser).

mod certificate;
mod rooms;

use std::{env, net::Ipv4Addr, process::ExitCode, str::FromStr, sync::Arc, time::Instant};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_server::{
    Auth, Binary, ClientFiles, Data, HandlerError, Json, MemoryCluster, MemoryLog, Recovery,
    Server, ServerConfig, Socket, Transport, serve, tower_layer::Layer,
};
use tokio::{net::TcpListener, signal::unix::SignalKind};

use self::certificate::Certificate;
use self::rooms::{Credentials, LOBBY, Message, Rooms, User, now};

const MAX_FILE: usize = 900_000;
const MAX_NODES: u16 = 8;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("chat: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let port: u16 = setting("PORT", 3000)?;
    let nodes: u16 = setting("NODES", 1)?;
    if !(1..=MAX_NODES).contains(&nodes) {
        return Err(format!("NODES={nodes} is not a number from 1 to {MAX_NODES}"));
    }
    let mut config = ServerConfig::default().connection_state_recovery(Recovery::default());
    if let Ok(folder) = env::var("CLIENT_DIR") {
        let files = ClientFiles::from_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        config = config.serve_client(files);
    }
    let certificate = match setting("WEBTRANSPORT", 0_u8)? {
        0 => None,
        _ => Some(Certificate::new().map_err(|error| format!("no certificate: {error}"))?),
    };
    if certificate.is_some() {
        let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
        config = config.engine(|engine| engine.transports(&transports));
    }
    let mut listeners = Vec::new();
    for node in 0..nodes {
        let port = if port == 0 { 0 } else { port.saturating_add(node) };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| format!("cannot listen on port {port}: {error}"))?;
        listeners.push(listener);
    }
    let urls = listeners
        .iter()
        .map(|listener| Ok(format!("http://{}", listener.local_addr()?)))
        .collect::<Result<Vec<_>, std::io::Error>>()
        .map_err(|error| error.to_string())?;

    // Servers in several processes would use an adapter for Redis, PostgreSQL, MongoDB or NATS here.
    let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
    let servers: Arc<[Server]> = (0..nodes)
        .map(|_| match nodes {
            1 => Server::with_config(config.clone()),
            _ => Server::with_config(config.clone().adapter(cluster.adapter())),
        })
        .collect();
    let rooms = Arc::new(Rooms::default());
    let mut running = Vec::new();
    for (node, (io, listener)) in servers.iter().zip(listeners).enumerate() {
        declare(io, &servers, &rooms);
        if let Some(certificate) = &certificate {
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            let listening = io.bind_webtransport(address, certificate.tls.clone()).await;
            running.push(listening.map_err(|error| format!("cannot listen on UDP: {error}"))?);
        }
        let about = json!({ "node": node + 1, "nodes": urls }).to_string();
        let der = certificate.as_ref().map(|certificate| certificate.der.clone());
        let service = io.layer().layer(pages(about, der));
        running.push(serve(listener, service, io.engine().config()));
        println!("chat server listening on {}", urls[node]);
    }

    let mut terminate =
        tokio::signal::unix::signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    for io in servers.iter() {
        io.close();
    }
    for io in servers.iter() {
        io.ended().await;
    }
    for listening in running {
        listening.stop();
        listening.join().await;
    }
    Ok(())
}

/// Reads a number from the environment.
fn setting<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}={text} is not a valid number")),
        Err(_) => Ok(default),
    }
}

/// The files of the page: HTML, style and script, a description of the node that serves them, and its
/// certificate for WebTransport.
fn pages(about: String, certificate: Option<Vec<u8>>) -> Router {
    let certificate = move || async move {
        let status = if certificate.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
        (status, certificate.unwrap_or_default()).into_response()
    };
    let about = move || async move {
        ([(header::CONTENT_TYPE, "application/json")], about).into_response()
    };
    let file = |content_type: &'static str, body: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], body) })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../index.html")))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("../style.css")))
        .route("/about.json", get(about))
        .route("/certificate.der", get(certificate))
        .route("/app.js", file("text/javascript; charset=utf-8", include_str!("../app.js")))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
}

#[derive(Deserialize)]
struct Say {
    room: String,
    text: String,
}

#[derive(Deserialize)]
struct Share {
    room: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct Shared<'a> {
    room: &'a str,
    from: &'a User,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    at: u64,
}

fn declare(io: &Server, servers: &Arc<[Server]>, rooms: &Arc<Rooms>) {
    // A nickname that cannot be used is refused before the client is connected: the error becomes
    // its `connect_error`. It belongs to a client only when that is connected, because a client that
    // vanishes before runs no disconnect handler.
    let state = rooms.clone();
    io.use_(move |Auth(credentials): Auth<Credentials>| {
        let result = state.check(&credentials);
        async move { result.map_err(HandlerError::public) }
    });

    // A client that recovers its session skips the middleware, and is in its rooms already.
    let (server, all, state) = (io.clone(), servers.clone(), rooms.clone());
    io.on_connection(move |socket: Socket, Auth(credentials): Auth<Credentials>| {
        match state.register(socket.id(), credentials) {
            Ok(earlier) => {
                for id in earlier {
                    all.iter()
                        .filter_map(|io| io.of("/").socket(&id))
                        .for_each(|it| it.disconnect());
                }
                if socket.recovered() {
                    for room in socket.rooms().iter().filter(|room| room.as_str() != socket.id()) {
                        join(&server, &state, &socket, room.as_str());
                    }
                }
            }
            // Another user has taken the nickname in the meantime.
            Err(_) => socket.disconnect(),
        }
        async {}
    });

    // The page measures the round trip with this event.
    io.on("latency", || async { true });

    let (server, state) = (io.clone(), rooms.clone());
    io.on("join", move |socket: Socket, Data(room): Data<String>| {
        let (server, state) = (server.clone(), state.clone());
        async move { Json(join(&server, &state, &socket, &room)) }
    });

    let state = rooms.clone();
    io.on("message", move |socket: Socket, Data(say): Data<Say>| {
        let state = state.clone();
        async move { Json(message(&state, &socket, say)) }
    });

    let state = rooms.clone();
    io.on("file", move |socket: Socket, Data((share, content)): Data<(Share, Binary)>| {
        let state = state.clone();
        async move { Json(file(&state, &socket, &share, &content)) }
    });

    let state = rooms.clone();
    io.on("typing", move |socket: Socket, Data((room, on)): Data<(String, bool)>| {
        let from = state.user(socket.id());
        async move {
            if let Some(from) = from.filter(|_| is_in(&socket, &room)) {
                let typing = json!({ "room": room, "from": from, "on": on });
                socket.to(&room).volatile().emit("typing", &typing)?;
            }
            Ok(())
        }
    });

    let (server, state) = (io.clone(), rooms.clone());
    io.on_disconnect(move |socket: Socket| {
        let user = state.forget(socket.id());
        for (room, users) in user.rooms {
            let notice =
                json!({ "room": room, "text": format!("{} left", user.nickname), "at": now() });
            let _ = server.to(&room).emit("notice", &notice);
            let _ = server.to(&room).emit("users", &json!({ "room": room, "users": users }));
        }
        let _ = server.emit("rooms", &state.list());
        async {}
    });
}

fn join(io: &Server, rooms: &Rooms, socket: &Socket, room: &str) -> serde_json::Value {
    let name = if room.trim().is_empty() { LOBBY } else { room.trim() };
    let joined = match rooms.join(socket.id(), name) {
        Ok(joined) => joined,
        Err(error) => return json!({ "ok": false, "room": name, "error": error }),
    };
    if let Err(error) = socket.join(name) {
        return json!({ "ok": false, "room": name, "error": error.to_string() });
    }
    if joined.new {
        let notice =
            json!({ "room": name, "text": format!("{} joined", joined.nickname), "at": now() });
        let _ = socket.to(name).emit("notice", &notice);
        let users = json!({ "room": name, "users": joined.users });
        let _ = io.to(name).emit("users", &users);
        let _ = io.emit("rooms", &rooms.list());
    }
    json!({ "ok": true, "room": name, "history": joined.history, "users": joined.users })
}

fn message(rooms: &Rooms, socket: &Socket, say: Say) -> serde_json::Value {
    let text = say.text.trim();
    if text.is_empty() || text.chars().count() > 4000 {
        return failure("a message has 1 to 4000 characters");
    }
    let Some(from) = rooms.user(socket.id()).filter(|_| is_in(socket, &say.room)) else {
        return failure("you are not in this room");
    };
    let message = Message::new(&say.room, from, text);
    let result = socket.namespace().to(&say.room).emit("message", &message);
    rooms.remember(message);
    outcome(result)
}

fn file(rooms: &Rooms, socket: &Socket, share: &Share, content: &Binary) -> serde_json::Value {
    if content.0.len() > MAX_FILE {
        return failure("the file is too large");
    }
    let Some(from) = rooms.user(socket.id()).filter(|_| is_in(socket, &share.room)) else {
        return failure("you are not in this room");
    };
    let meta =
        Shared { room: &share.room, from: &from, name: &share.name, kind: &share.kind, at: now() };
    outcome(socket.namespace().to(&share.room).emit("file", &(meta, content)))
}

fn is_in(socket: &Socket, room: &str) -> bool {
    room != socket.id() && socket.rooms().iter().any(|joined| joined.as_str() == room)
}

fn failure(error: &str) -> serde_json::Value {
    json!({ "ok": false, "error": error })
}

fn outcome(result: Result<(), socketio_server::EmitError>) -> serde_json::Value {
    match result {
        Ok(()) => json!({ "ok": true }),
        Err(error) => failure(&error.to_string()),
    }
}
