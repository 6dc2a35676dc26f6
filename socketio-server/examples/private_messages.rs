//! Private messages with presence: a user is online while one of their tabs is, and each tab of both
//! users shows the message.
//!
//! ```sh
//! cargo run -p socketio-server --example private_messages     # open http://127.0.0.1:3000 twice
//! ```
//!
//! The name in `auth` is not checked. The guide shows how to check a token or a session.

mod shared;

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use socketio_server::{Auth, Data, HandlerError, Server, Socket};

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// The name of a socket's user.
struct Name(String);

/// The number of connected tabs of each user.
#[derive(Clone, Default)]
struct Presence(Arc<Mutex<BTreeMap<String, usize>>>);

impl Presence {
    /// Counts a tab. Returns whether it is the user's first one.
    fn enter(&self, name: &str) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tabs = users.entry(name.to_owned()).or_default();
        *tabs += 1;
        *tabs == 1
    }

    /// Forgets a tab. Returns whether it was the user's last one.
    fn leave(&self, name: &str) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tabs) = users.get_mut(name) else { return false };
        *tabs -= 1;
        *tabs == 0 && users.remove(name).is_some()
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

fn room(name: &str) -> String {
    format!("user:{name}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::with_config(shared::config()?);
    let presence = Presence::default();

    io.use_(|socket: Socket, Auth(Login { name }): Auth<Login>| {
        if name.trim().is_empty() || name.len() > 40 {
            return Err(HandlerError::public("a name has 1 to 40 bytes"));
        }
        socket.set_data(Name(name));
        Ok(())
    });
    io.on_connection(move |socket: Socket| {
        let Some(user) = socket.data::<Name>() else { return Ok(()) };
        socket.join(room(&user.0))?;
        if presence.enter(&user.0) {
            socket.broadcast().emit("online", &user.0)?;
        }
        socket.emit("users", &(presence.names(),))?;
        let presence = presence.clone();
        socket.on_disconnect(move |socket: Socket| {
            if presence.leave(&user.0) {
                socket.namespace().emit("offline", &user.0)?;
            }
            Ok::<_, HandlerError>(())
        });
        Ok::<_, HandlerError>(())
    });
    io.on("private", |socket: Socket, Data((to, text)): Data<(String, String)>| {
        let Some(user) = socket.data::<Name>() else { return Ok(()) };
        // Both users' tabs, except the one that has written it. It gets the ack.
        socket.to([room(&to), room(&user.0)]).emit("private", &(&user.0, to, text))?;
        Ok::<_, HandlerError>(())
    });
    shared::run(io, include_str!("pages/private_messages.html")).await
}
