//! The load of the `client_bench` rig, generated with `rust_socketio`'s async client.
//!
//! Its arguments and its output are the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use rigs::process::Process;
use rust_socketio::{
    Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let polling = std::env::args().any(|arg| arg == "polling");
    let transport = if polling { TransportType::Polling } else { TransportType::Websocket };
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [port, connections, in_flight, seconds] = args[..] else {
        panic!("four numbers are needed: port, connections, in flight, seconds")
    };
    let this = Process(std::process::id());
    let mut memory = 0;
    let (received, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (received, wrong) = (received.clone(), wrong.clone());
        let expected = Arc::new(AtomicU64::new(0));
        let client = ClientBuilder::new(format!("http://127.0.0.1:{port}"))
            .transport_type(transport.clone())
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
        if memory == 0 {
            memory = this.memory().expect("Linux");
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for client in &clients {
        for id in 0..in_flight {
            client.emit("echo", message(id)).await.expect("emits");
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, from, spent) =
        (Instant::now(), received.load(Ordering::Relaxed), this.cpu().expect("Linux"));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let messages = received.load(Ordering::Relaxed) - from;
    let (cpu, took) = (this.cpu().expect("Linux") - spent, start.elapsed());
    println!(
        "{}",
        json!({
            "messages": messages,
            "rate": messages as f64 / took.as_secs_f64(),
            "cpu_us": cpu as f64 / 1e3 / messages.max(1) as f64,
            "wrong": wrong.load(Ordering::Relaxed),
            "kib": this.memory().expect("Linux").saturating_sub(memory) as f64 / connections as f64,
        })
    );
    std::process::exit(0);
}

fn message(id: u64) -> Value {
    json!({ "id": id, "text": "abcdefghijklmnopqrstuvwxyz012345" })
}
