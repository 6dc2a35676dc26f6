//! Says hello to a server and listens.
//!
//! ```sh
//! cargo run -p socketio-async-client --example hello -- http://localhost:3000
//! ```

use socketio_client::{ClientConfig, ConnectError, Data, DisconnectReason, Manager, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:3000".into());
    let manager = Manager::with_config(&url, ClientConfig::default().auto_connect(false))?;
    let socket = manager.socket("/");
    socket.on_connect(|socket: Socket| async move {
        println!("connected as {}", socket.id().unwrap_or_default());
        socket.emit("message", "hello")?;
        Ok(())
    });
    socket.on("message-back", |Data(text): Data<String>| async move { println!("{text}") });
    socket.on_connect_error(|error: ConnectError| async move { println!("{error}") });
    socket.on_disconnect(|reason: DisconnectReason| async move { println!("{reason}") });
    socket.open();
    tokio::signal::ctrl_c().await?;
    Ok(())
}
