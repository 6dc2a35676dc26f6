//! A server that sends reliable events, each until the client has acknowledged it, also across lost
//! connections.
//!
//! `order` with a number makes it send that many `pay` events, one after another, then `paid` with
//! the acks. If the client does not return, all clients of the main namespace get `not paid`.
//! Environment: `PORT` (3000).

use std::{env, error::Error};

use socketio_server::{Data, DeliveryError, Recovery, Server, ServerConfig, Socket};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").as_deref().unwrap_or("3000").parse()?;
    let io =
        Server::with_config(ServerConfig::default().connection_state_recovery(Recovery::default()));
    for name in ["/", "/closing"] {
        let main = io.sockets().clone();
        let namespace = io.of(name);
        namespace.on_connection(|socket: Socket| async move {
            // A client needs the offset of an event to recover its session.
            socket.emit("welcome", &())?;
            Ok(())
        });
        namespace.on("order", move |socket: Socket, Data(orders): Data<u32>| {
            let main = main.clone();
            async move {
                match pay(&socket, orders).await {
                    Ok(answers) => socket.emit("paid", &[answers])?,
                    Err(error) => main.emit("not paid", &error.to_string())?,
                }
                Ok(())
            }
        });
    }
    let closing = io.clone();
    io.on("close namespace", move |Data(name): Data<String>| {
        closing.close_namespace(&name);
        async {}
    });
    let listening = io.bind(("127.0.0.1", port)).await?;
    println!("LISTENING on {}", listening.local_addr()?);
    signal(SignalKind::terminate())?.recv().await;
    listening.stop();
    io.close();
    io.ended().await;
    Ok(())
}

/// Sends the events. If the client loses its connection, continues when the client has returned.
async fn pay(socket: &Socket, orders: u32) -> Result<Vec<u32>, DeliveryError> {
    let mut answers = Vec::new();
    for order in 1..=orders {
        answers.push(socket.emit_reliably("pay", &order).await?);
    }
    Ok(answers)
}
