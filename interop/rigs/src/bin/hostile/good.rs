//! Well-behaved clients, which measure how long the server takes to respond.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rigs::{counted::PATIENCE, wire::Wire};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// The pause of a client between two round trips.
const PAUSE: Duration = Duration::from_millis(100);

/// Clients that request an ack again and again. They reconnect if they lose their connection.
pub(crate) struct Good {
    port: u16,
    measured: Arc<Mutex<Measured>>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Measured {
    round_trips: Vec<Duration>,
    /// When each client began to wait, if it waits.
    waiting: Vec<Option<Instant>>,
    /// The round trips of each client.
    completed: Vec<u64>,
    lost: usize,
}

/// The round trips of all clients since the last call.
pub(crate) struct RoundTrips {
    sorted: Vec<Duration>,
    /// Connections that were lost.
    pub(crate) lost: usize,
}

impl RoundTrips {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get(last * percent / 100).copied().unwrap_or_default()
    }
}

impl Good {
    /// Connects clients. Returns when each has had a response.
    pub(crate) async fn connect(port: u16, count: usize) -> io::Result<Self> {
        let measured = Measured {
            waiting: vec![None; count],
            completed: vec![0; count],
            ..Measured::default()
        };
        let mut good =
            Self { port, measured: Arc::new(Mutex::new(measured)), clients: JoinSet::new() };
        for number in 0..count {
            let mut wire = connect(port).await?;
            let measured = good.measured.clone();
            good.clients.spawn(async move {
                loop {
                    let _ = round_trips(&mut wire, number, &measured).await;
                    lock(&measured).lost += 1;
                    wire = loop {
                        match timeout(PATIENCE, connect(port)).await {
                            Ok(Ok(wire)) => break wire,
                            _ => sleep(PAUSE).await,
                        }
                    };
                }
            });
        }
        Ok(good)
    }

    /// Returns the round trips since the last call. Those that have not ended count with the time
    /// that has passed.
    pub(crate) fn take(&self) -> RoundTrips {
        let mut measured = lock(&self.measured);
        let mut sorted = std::mem::take(&mut measured.round_trips);
        sorted.extend(measured.waiting.iter().flatten().map(Instant::elapsed));
        sorted.sort();
        RoundTrips { sorted, lost: std::mem::take(&mut measured.lost) }
    }

    /// Waits until the server serves a new client, and each of these clients once more.
    pub(crate) async fn served(&self) -> io::Result<()> {
        let before = lock(&self.measured).completed.clone();
        let served = async {
            // The sessions of the attackers may use up a limit until they end.
            let client = loop {
                match connect(self.port).await {
                    Ok(client) => break client,
                    Err(_) => sleep(PAUSE).await,
                }
            };
            client.close().await?;
            loop {
                let completed = lock(&self.measured).completed.clone();
                if before.iter().zip(completed).all(|(before, now)| *before < now) {
                    return Ok(());
                }
                sleep(PAUSE).await;
            }
        };
        timeout(PATIENCE, served).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn connect(port: u16) -> io::Result<Wire> {
    let mut wire = Wire::websocket(port, "/socket.io/?EIO=4&transport=websocket").await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    Ok(wire)
}

/// Requests acks until the connection is lost.
async fn round_trips(wire: &mut Wire, number: usize, measured: &Mutex<Measured>) -> io::Result<()> {
    loop {
        sleep(PAUSE).await;
        let since = Instant::now();
        if let Some(waiting) = lock(measured).waiting.get_mut(number) {
            *waiting = Some(since);
        }
        wire.text(r#"421["ack"]"#).await?;
        timeout(PATIENCE, wire.expect("431[")).await??;
        let mut measured = lock(measured);
        measured.round_trips.push(since.elapsed());
        if let Some(completed) = measured.completed.get_mut(number) {
            *completed += 1;
        }
        if let Some(waiting) = measured.waiting.get_mut(number) {
            *waiting = None;
        }
    }
}

fn lock(measured: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}
