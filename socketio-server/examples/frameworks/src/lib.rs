//! The page, the login and the event handlers that the servers of this package share. Each program
//! in `src/bin/` puts them into another framework.

use std::{
    collections::HashMap,
    env,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use socketio_server::{
    Binary, Data, EngineConfig, HandlerError, Server, ServerConfig, Socket, http,
};

pub const PAGE: &str = include_str!("page.html");

/// The users who have logged in, by the id in their cookie. An application keeps them in a database.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, String>>>);

impl Sessions {
    /// Returns the value of `Set-Cookie` for a user who has shown that it is this one.
    pub fn log_in(&self, name: &str) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let cookie = format!("session={id}; Path=/; HttpOnly; SameSite=Lax");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name.to_owned());
        cookie
    }

    fn user(&self, headers: &http::HeaderMap) -> Option<String> {
        let cookies =
            headers.get_all(http::header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        let id =
            cookies.flat_map(|it| it.split("; ")).find_map(|it| it.strip_prefix("session="))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// A server that accepts the users who have logged in.
pub fn chat(sessions: &Sessions, engine: impl FnOnce(EngineConfig) -> EngineConfig) -> Server {
    let io = Server::with_config(ServerConfig::default().engine(engine));
    let sessions = sessions.clone();
    io.use_(move |socket: Socket| {
        let user = sessions.user(&socket.handshake().headers());
        socket.set_data(user.ok_or_else(|| HandlerError::public("log in first"))?);
        Ok::<_, HandlerError>(())
    });
    io.on("who am I?", |socket: Socket| {
        let name = socket.data::<String>().map(|name| name.to_string());
        let address = socket.handshake().client_ip().map(|address| address.to_string());
        socketio_server::Json(json!({ "name": name, "address": address }))
    });
    io.on("say", |socket: Socket, Data(text): Data<String>| {
        let name = socket.data::<String>().map(|name| name.to_string()).unwrap_or_default();
        socket.namespace().emit("said", &(name, text))?;
        Ok::<_, HandlerError>(())
    });
    io.on("how many?", |socket: Socket| socket.namespace().sockets_count());
    io.on("echo", |Data(bytes): Data<Binary>| socketio_server::Json(bytes));
    io
}

/// The address to listen on: the port in `PORT`, or 3000.
pub fn address() -> (Ipv4Addr, u16) {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok());
    (Ipv4Addr::LOCALHOST, port.unwrap_or(3000))
}
