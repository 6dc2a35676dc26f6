//! The client of `cargo xtask bench`: connections that each keep a number of messages in flight with
//! an echo server.
//!
//! Arguments: port, connections, messages in flight per connection, seconds, transport (`websocket`
//! or `polling`). Prints one line of JSON: messages, messages per second, CPU time of this process
//! per message in µs, the number of unexpected messages, and KiB of memory per connection. With
//! nothing in flight, the connections are idle.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rigs::process::Process;
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_client::{ClientConfig, Data, HandlerError, Manager, Socket, Transport};

#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let polling = std::env::args().any(|arg| arg == "polling");
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [port, connections, in_flight, seconds] = args[..] else {
        return Err("four numbers are needed: port, connections, in flight, seconds".into());
    };
    let this = Process(std::process::id());
    let mut memory = 0;
    let transport = if polling { Transport::Polling } else { Transport::WebSocket };
    let config = ClientConfig::default().engine(|engine| engine.transports([transport]));
    let (received, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let manager = Manager::with_config(&format!("http://127.0.0.1:{port}"), config.clone())?;
        let socket = manager.socket("/");
        echo(&socket, in_flight, received.clone(), wrong.clone());
        socket.connect().await?;
        sockets.push(socket);
        // The first connection also loads code.
        if memory == 0 {
            memory = this.memory()?;
        }
    }
    for socket in &sockets {
        for id in 0..in_flight {
            socket.emit("echo", &message(id))?;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, from, spent) = (Instant::now(), received.load(Ordering::Relaxed), this.cpu()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let messages = received.load(Ordering::Relaxed) - from;
    let (cpu, took) = (this.cpu()? - spent, start.elapsed());
    println!(
        "{}",
        json!({
            "messages": messages,
            "rate": messages as f64 / took.as_secs_f64(),
            "cpu_us": cpu as f64 / 1e3 / messages.max(1) as f64,
            "wrong": wrong.load(Ordering::Relaxed),
            "kib": this.memory()?.saturating_sub(memory) as f64 / connections as f64,
        })
    );
    Ok(())
}

fn echo(socket: &Socket, in_flight: u64, received: Arc<AtomicU64>, wrong: Arc<AtomicU64>) {
    let expected = AtomicU64::new(0);
    socket.on("echo", move |socket: Socket, Data(Message { id, .. }): Data<Message>| {
        received.fetch_add(1, Ordering::Relaxed);
        if id != expected.fetch_add(1, Ordering::Relaxed) {
            wrong.fetch_add(1, Ordering::Relaxed);
        }
        let result = socket.emit("echo", &message(id + in_flight));
        async move { Ok::<_, HandlerError>(result?) }
    });
}

fn message(id: u64) -> Message {
    Message { id, text: "abcdefghijklmnopqrstuvwxyz012345".to_owned() }
}
