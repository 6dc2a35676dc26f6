//! socketioxide with the contract of the `bench` rig.
//!
//! By default it is set up as in its README: several threads, and payloads as `serde_json::Value`.
//! `TUNED=1` selects one thread, typed payloads and TCP_NODELAY.

use std::env;

use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    text: String,
}

fn main() -> std::io::Result<()> {
    let tuned = env::var("TUNED").is_ok_and(|value| value == "1");
    let mut runtime = match tuned {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(serve(tuned))
}

async fn serve(tuned: bool) -> std::io::Result<()> {
    let milliseconds = |name: &str, default: u64| {
        let number = env::var(name).ok().and_then(|text| text.parse().ok());
        std::time::Duration::from_millis(number.unwrap_or(default))
    };
    let (layer, io) = SocketIo::builder()
        .ping_interval(milliseconds("PING_INTERVAL", 25_000))
        .ping_timeout(milliseconds("PING_TIMEOUT", 20_000))
        .build_layer();
    io.ns("/", async move |socket: SocketRef| {
        if tuned {
            typed(&socket)
        } else {
            dynamic(&socket)
        }
        common(&socket);
    });
    let app = axum::Router::new().layer(layer);
    let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("LISTENING on {port}");
    if tuned {
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    } else {
        axum::serve(listener, app).await
    }
}

fn typed(socket: &SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<Message>(message)| {
        let _ = socket.emit("echo", &message);
    });
    socket.on("ack", async |Data::<Message>(message), ack: AckSender| {
        let _ = ack.send(&message);
    });
}

fn dynamic(socket: &SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<Value>(data)| {
        let _ = socket.emit("echo", &data);
    });
    socket.on("ack", async |Data::<Value>(data), ack: AckSender| {
        let _ = ack.send(&data);
    });
}

fn common(socket: &SocketRef) {
    socket.on("bin", async |socket: SocketRef, Data::<Bytes>(data)| {
        let _ = socket.emit("bin", &data);
    });
    socket.on("value", async |Data::<Value>(_)| {});
    socket.on("join", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.join(room);
        let _ = ack.send(&());
    });
    socket.on("cast", async |io: SocketIo, Data::<String>(text)| {
        let _ = io.emit("cast", &text).await;
    });
    socket.on("roomcast", async |io: SocketIo, Data::<(String, String)>((room, text))| {
        let _ = io.to(room).emit("roomcast", &text).await;
    });
}
