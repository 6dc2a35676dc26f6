//! Serves the page of an example beside Socket.IO.
//!
//! Environment: `PORT` (3000), `CLIENT_DIR` (the folder `dist` of the npm package `socket.io-client`,
//! which the server then serves; without it, the page loads the client from its public server).

use std::{env, error::Error, net::Ipv4Addr};

use axum::{Router, response::Html, routing::get};
use socketio_server::{ClientFiles, Server, ServerConfig, serve, tower_layer::Layer};
use tokio::net::TcpListener;

const STYLE: &str = include_str!("../pages/style.css");
const PUBLIC: &str = "https://cdn.socket.io/4.8.1/socket.io.min.js";

/// The configuration of the server of an example.
pub(crate) fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let config = ServerConfig::default();
    Ok(match env::var("CLIENT_DIR") {
        Ok(folder) => config.serve_client(ClientFiles::from_dir(folder)?),
        Err(_) => config,
    })
}

/// Serves Socket.IO and the page until the process ends.
pub(crate) async fn run(io: Server, page: &str) -> Result<(), Box<dyn Error>> {
    let served = env::var_os("CLIENT_DIR").is_some();
    let client = if served { "/socket.io/socket.io.min.js" } else { PUBLIC };
    let page = page.replace("$CLIENT", client).replace("$STYLE", STYLE);
    let app = Router::new().route("/", get(async move || Html(page)));
    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, io.layer().layer(app), io.engine().config()).join().await;
    Ok(())
}
