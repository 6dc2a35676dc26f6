//! A server that takes orders and has them paid, each until the client has answered: over lost connections, too.
//!
//! `order` with a number makes it send so many events `pay`, one after the other, then `paid` with the answers; if the client
//! does not come back, everybody in the main namespace is told with `not paid`. Environment: `PORT` (3000).

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
            // A client needs an event's offset to come back to its session.
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

/// Where the client loses its connection, this goes on when it has come back.
async fn pay(socket: &Socket, orders: u32) -> Result<Vec<u32>, DeliveryError> {
    let mut answers = Vec::new();
    for order in 1..=orders {
        answers.push(socket.emit_reliably("pay", &order).await?);
    }
    Ok(answers)
}
