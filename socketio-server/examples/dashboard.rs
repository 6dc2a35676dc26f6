//! A live dashboard with backpressure. Current values are volatile: a slow client misses some and gets
//! the next ones. The history is complete: the server sends it as fast as the client reads it.
//!
//! ```sh
//! cargo run -p socketio-server --example dashboard     # open http://127.0.0.1:3000
//! ```

mod shared;

use std::{error::Error, time::Duration};

use serde::Serialize;
use socketio_server::{Data, EmitError, HandlerError, Server, Socket};

/// Values per second.
const RATE: u64 = 20;
const MAX_HISTORY: u64 = 1_000_000;
/// Values of one event of the history.
const BATCH: u64 = 1000;

#[derive(Serialize)]
struct Sample {
    /// The number of the sample, which shows the client what it has missed.
    number: u64,
    load: f64,
    clients: u64,
}

/// Stands for a measurement.
fn load(number: u64) -> f64 {
    let time = number as f64 / RATE as f64;
    50.0 + 30.0 * (time / 7.0).sin() + 15.0 * (time * 1.7).sin()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::with_config(shared::config()?);
    // Returns the number of values when all of them have been queued.
    io.on("history", |socket: Socket, Data(count): Data<u64>| async move {
        let count = count.min(MAX_HISTORY);
        for start in (0..count).step_by(BATCH as usize) {
            let batch: Vec<f64> = (start..count.min(start + BATCH)).map(load).collect();
            // The queue is full while the client reads slowly.
            while let Err(error) = socket.emit("history", &(start, &batch)) {
                match error {
                    EmitError::Full => socket.ready().await?,
                    error => return Err(error.into()),
                }
            }
        }
        Ok::<_, HandlerError>(count)
    });

    let all = io.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1000 / RATE));
        for number in 0.. {
            ticks.tick().await;
            let sample = Sample { number, load: load(number), clients: all.stats().sockets };
            if let Err(error) = all.volatile().emit("sample", &sample) {
                eprintln!("{error}");
            }
        }
    });
    shared::run(io, include_str!("pages/dashboard.html")).await
}
