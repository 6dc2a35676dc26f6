//! The load of `socketio-client`'s `client_bench` example, generated with `rust_socketio`'s async
//! client.
//!
//! Arguments: port, connections, messages in flight per connection, seconds. Prints one line of
//! JSON.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use rust_socketio::{
    Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [port, connections, in_flight, seconds] = args[..] else {
        panic!("usage: bench-rust-socketio PORT CONNECTIONS IN_FLIGHT SECONDS")
    };
    let (received, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (received, wrong) = (received.clone(), wrong.clone());
        let expected = Arc::new(AtomicU64::new(0));
        let client = ClientBuilder::new(format!("http://127.0.0.1:{port}"))
            .transport_type(TransportType::Websocket)
            .on("echo", move |payload: Payload, client: Client| {
                let (received, wrong, expected) =
                    (received.clone(), wrong.clone(), expected.clone());
                async move {
                    received.fetch_add(1, Ordering::Relaxed);
                    let Payload::Text(values) = payload else { return };
                    let id =
                        values.first().and_then(|value| value.get("id")).and_then(Value::as_u64);
                    let id = id.unwrap_or(u64::MAX);
                    if id != expected.fetch_add(1, Ordering::Relaxed) {
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                    let _ = client.emit("echo", message(id.wrapping_add(in_flight))).await;
                }
                .boxed()
            })
            .connect()
            .await
            .expect("connects");
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for client in &clients {
        for id in 0..in_flight {
            client.emit("echo", message(id)).await.expect("emits");
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, from, spent) = (Instant::now(), received.load(Ordering::Relaxed), cpu());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let messages = received.load(Ordering::Relaxed) - from;
    let (cpu, took) = (cpu() - spent, start.elapsed());
    println!(
        "{}",
        json!({
            "messages": messages,
            "rate": messages as f64 / took.as_secs_f64(),
            "cpu_us": cpu.as_secs_f64() * 1e6 / messages.max(1) as f64,
            "wrong": wrong.load(Ordering::Relaxed),
        })
    );
    std::process::exit(0);
}

fn message(id: u64) -> Value {
    json!({ "id": id, "text": "abcdefghijklmnopqrstuvwxyz012345" })
}

/// The CPU time of this process in user and system mode over all threads, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
