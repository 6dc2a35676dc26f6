//! The port of `ported_chat.mjs`, a chat server for Node. The guide shows both side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;
use socketio_server::{
    Auth, Binary, Cors, Data, HandlerError, Server, ServerConfig, Socket, State,
};

type Users = Arc<Mutex<HashMap<String, String>>>; // socket id → name

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users = Users::default();
    let config = ServerConfig::default().engine(|engine| engine.cors(Cors::any_origin()));
    let io = Server::with_config(config.state(users));

    io.use_(|auth: Result<Auth<Name>, HandlerError>| async move {
        match auth {
            Ok(Auth(Name { name })) if !name.is_empty() => Ok(()),
            _ => {
                Err(HandlerError::public("a name is needed").with_data(&json!({ "field": "name" })))
            }
        }
    });

    io.on_connection(
        |socket: Socket, Auth(Name { name }): Auth<Name>, State(users): State<Users>| async move {
            let count = {
                let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
                users.insert(socket.id().to_owned(), name.clone());
                users.len()
            };
            socket.broadcast().emit("user joined", &(name, count))?;
            Ok(())
        },
    );

    io.on(
        "join",
        |socket: Socket, Data(room): Data<String>, Auth(Name { name }): Auth<Name>| async move {
            socket.join(&room)?;
            socket.to(&room).emit("joined", &(&room, name))?;
            let rooms = socket.rooms().into_iter().filter(|other| **other != *socket.id());
            Ok(rooms.map(|room| room.to_string()).collect::<Vec<_>>())
        },
    );

    io.on(
        "say",
        |socket: Socket,
         Data((room, text)): Data<(String, String)>,
         Auth(Name { name }): Auth<Name>| async move {
            if !socket.rooms().iter().any(|joined| **joined == *room) {
                return Err(HandlerError::public("join the room first"));
            }
            socket.to(&room).emit("said", &json!({ "room": room, "name": name, "text": text }))?;
            Ok(json!({ "ok": true }))
        },
    );

    io.on(
        "picture",
        |socket: Socket,
         Data((room, bytes)): Data<(String, Binary)>,
         Auth(Name { name }): Auth<Name>| async move {
            socket.to(room).volatile().emit("picture", &(name, bytes))?;
            Ok(())
        },
    );

    io.on("who", |State(users): State<Users>| async move {
        let mut names: Vec<_> =
            users.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        names.sort();
        names
    });

    io.sockets().on_disconnecting(|socket: Socket, Auth(Name { name }): Auth<Name>| async move {
        for room in socket.rooms().into_iter().filter(|room| **room != *socket.id()) {
            socket.to(room.clone()).emit("left", &(&*room, &name))?;
        }
        Ok(())
    });

    io.sockets().on_disconnect(
        |socket: Socket, Auth(Name { name }): Auth<Name>, State(users): State<Users>| async move {
            users.lock().unwrap_or_else(PoisonError::into_inner).remove(socket.id());
            socket.namespace().emit("user left", &name)?;
            Ok(())
        },
    );

    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listening = io.bind(("0.0.0.0", port)).await?;
    println!("listening on {port}");
    listening.join().await;
    Ok(())
}
