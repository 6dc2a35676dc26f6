//! The connection of a desktop application: it outlives lost connections, and gets a fresh token
//! whenever the server refuses or ends a session because its token has expired.
//!
//! ```sh
//! cargo run -p socketio-async-client --example desktop -- http://localhost:3000
//! ```
//!
//! It prints what a window would show, one line for each change. The server refuses a token with the
//! data `{ "code": "token expired" }`, and emits `token expired` before it disconnects a socket.

use std::{
    env,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use socketio_client::{
    ClientConfig, ConnectError, Data, DisconnectReason, Manager, ManagerEvent, Reconnection,
    Socket, SocketConfig,
};

/// The application's account. A real one asks its login service for tokens.
#[derive(Clone, Default)]
struct Account {
    refreshes: Arc<AtomicU32>,
}

impl Account {
    async fn token(&self) -> Result<String, std::io::Error> {
        Ok(format!("token {}", self.refreshes.load(Relaxed)))
    }

    fn expire(&self) {
        self.refreshes.fetch_add(1, Relaxed);
    }
}

/// The data with which the server refuses a connection.
#[derive(Deserialize)]
struct Refusal {
    code: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://localhost:3000".to_owned());
    let delays = Reconnection::default()
        .delay(Duration::from_millis(200))
        .delay_max(Duration::from_secs(30));
    let config = ClientConfig::default().auto_connect(false).reconnection(delays);
    let manager = Manager::with_config(&url, config)?;
    let account = Account::default();
    let tokens = account.clone();
    // Called for each connection.
    let auth = SocketConfig::default().auth_with(move || {
        let account = tokens.clone();
        async move { Ok(json!({ "token": account.token().await? })) }
    });
    let socket = manager.socket_with("/", auth);

    manager.on(|event| {
        if let ManagerEvent::ReconnectAttempt(attempt) = event {
            println!("offline, attempt {attempt}");
        }
    });
    socket.on_connect(|socket: Socket| {
        println!("online{}", if socket.is_recovered() { ", nothing missed" } else { "" });
    });
    socket.on("news", |Data(text): Data<String>| println!("news: {text}"));
    let expiring = account.clone();
    socket.on("token expired", move || expiring.expire());
    // The client does not connect again by itself after these two.
    socket.on_disconnect(|socket: Socket, reason: DisconnectReason| {
        println!("offline: {reason}");
        if reason == DisconnectReason::IoServerDisconnect {
            socket.open();
        }
    });
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        let refusal: Option<Refusal> = error.data();
        match refusal {
            Some(refusal) if refusal.code == "token expired" => {
                account.expire();
                socket.open();
            }
            Some(_) => println!("log in again: {error}"),
            None => println!("offline: {error}"),
        }
    });

    socket.open();
    tokio::signal::ctrl_c().await?;
    socket.disconnect();
    manager.closed().await;
    Ok(())
}
