//! The sample of the Socket.IO README as a standalone server. Each line of the sample precedes its
//! equivalent.
//!
//! ```sh
//! cargo run -p socketio-server --example standalone     # listens on http://127.0.0.1:3000
//! ```
//!
//! ```js
//! const io = require('socket.io')();
//! io.on('connection', client => { ... });
//! io.listen(3000);
//! ```

use serde_json::{Value, json};
use socketio_server::{Data, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::new();
    io.on_connection(|socket: Socket| async move {
        // socket.emit('request', /* … */); // emit an event to the socket
        socket.emit("request", &json!({ "hello": socket.id() }))?;
        // io.emit('broadcast', /* … */); // emit an event to all connected sockets
        socket.namespace().emit("broadcast", &"somebody has come")?;
        // socket.on('reply', () => { /* … */ }); // listen to the event
        socket.on("reply", |Data(reply): Data<Value>| async move { println!("reply: {reply}") });
        // client.on('disconnect', () => { /* … */ });
        socket.on_disconnect(|| async { println!("gone") });
        Ok(())
    });
    // io.listen(3000);
    io.listen("127.0.0.1:3000").await?;
    Ok(())
}
