//! A server that the Admin UI can look into. Run it with
//! `cargo run --example admin --features admin`, open <https://admin.socket.io> or the folder
//! `ui/dist` of the npm package `@socket.io/admin-ui` in a browser, and connect the page to
//! `http://localhost:3000/admin`.
//!
//! Environment: `PORT` (3000), `ADMIN_PASSWORD_HASH` (a bcrypt hash of the password of the user
//! `admin`; without it, everybody is let in), `ADMIN_ORIGIN` (the origin of the page), `PRODUCTION`
//! and `READ_ONLY` (set to anything).

use std::env;

use socketio_server::{Admin, Cors, Data, HandlerError, Server, ServerConfig, Socket, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let origin = env::var("ADMIN_ORIGIN").unwrap_or_else(|_| "https://admin.socket.io".to_owned());
    let cors = Cors::origins([origin]).credentials(true);
    let io = Server::with_config(ServerConfig::default().engine(|engine| engine.cors(cors)));

    let admin = match env::var("ADMIN_PASSWORD_HASH") {
        Ok(hash) => Admin::with_password("admin", &hash)?,
        Err(_) => Admin::without_authentication(),
    };
    admin
        .development(env::var_os("PRODUCTION").is_none())
        .read_only(env::var_os("READ_ONLY").is_some())
        .instrument(&io)?;

    io.of("/chat");
    io.on_connection(|socket: Socket| async move {
        socket.join("lobby")?;
        socket.set_shared(&serde_json::json!({ "seen": 1 }))?;
        Ok::<_, HandlerError>(())
    });
    io.on("echo", |Data(value): Data<Value>, socket: Socket| async move {
        socket.emit("echo", &value)?;
        Ok::<_, HandlerError>(())
    });

    let listening = io.bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listening.local_addr()?);
    listening.join().await;
    Ok(())
}
