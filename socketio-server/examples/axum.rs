//! The sample of the Socket.IO README, attached to a web framework. Each line of the sample
//! precedes its equivalent.
//!
//! ```sh
//! cargo run -p socketio-server --example axum     # listens on http://127.0.0.1:3000
//! ```
//!
//! ```js
//! const app = require('express')();
//! const server = require('http').createServer(app);
//! const io = require('socket.io')(server);
//! io.on('connection', () => { /* … */ });
//! server.listen(3000);
//! ```

use axum::{Router, routing::get};
use serde_json::{Value, json};
use socketio_server::{Data, Server, Socket, serve, tower_layer::Layer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // const app = require('express')();
    let app = Router::new().route("/", get(|| async { "hello" }));
    // const io = require('socket.io')(server);
    let io = Server::new();
    // io.on('connection', () => { /* … */ });
    io.on_connection(|socket: Socket| async move {
        socket.emit("request", &json!({ "hello": socket.id() }))?;
        socket.namespace().emit("broadcast", &"somebody has come")?;
        socket.on("reply", |Data(reply): Data<Value>| async move { println!("reply: {reply}") });
        Ok(())
    });
    // const server = require('http').createServer(app); server.listen(3000);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, io.layer().layer(app), io.engine().config()).join().await;
    Ok(())
}
