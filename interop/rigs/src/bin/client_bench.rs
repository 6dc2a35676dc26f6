//! The load of `cargo xtask bench client`: connections that each keep a number of messages in
//! flight with an echo server.
//!
//! Arguments: port, connections, messages in flight per connection, seconds. Prints one line of
//! JSON: messages, messages per second, CPU time of this process per message in µs, and the number
//! of unexpected messages.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

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
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [port, connections, in_flight, seconds] = args[..] else {
        return Err("four numbers are needed: port, connections, in flight, seconds".into());
    };
    let config = ClientConfig::default().engine(|engine| engine.transports([Transport::WebSocket]));
    let (received, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let manager = Manager::with_config(&format!("http://127.0.0.1:{port}"), config.clone())?;
        let socket = manager.socket("/");
        echo(&socket, in_flight, received.clone(), wrong.clone());
        socket.connect().await?;
        sockets.push(socket);
    }
    for socket in &sockets {
        for id in 0..in_flight {
            socket.emit("echo", &message(id))?;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, from, spent) = (Instant::now(), received.load(Ordering::Relaxed), cpu()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let messages = received.load(Ordering::Relaxed) - from;
    let (cpu, took) = (cpu()? - spent, start.elapsed());
    println!(
        "{}",
        json!({
            "messages": messages,
            "rate": messages as f64 / took.as_secs_f64(),
            "cpu_us": cpu.as_secs_f64() * 1e6 / messages.max(1) as f64,
            "wrong": wrong.load(Ordering::Relaxed),
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

/// Returns the CPU time of this process: all threads, user and system, with a resolution of 10 ms.
fn cpu() -> std::io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
