//! Few clients of all behaviors at once, for the tests. Asserts counts only.

use std::{io, time::Instant};

use rigs::counted::PATIENCE;
use serde_json::Value;
use tokio::time::sleep;

use crate::{Attackers, behaviors::BEHAVIORS, good::Good, settled, start};

/// Clients of each behavior.
const CLIENTS: usize = 2;

/// Units that the clients of one behavior send.
const UNITS: u64 = 40;

/// The open files of the server.
const FILES: u32 = 200;

/// The counters that show that the server met the behaviors.
const SEEN: [&str; 11] = [
    "/dropped/head_timeout",
    "/refused/body_timeout",
    "/refused/unknown_transport",
    "/probes_failed",
    "/closed/ping_timeout",
    "/closed/transport_error",
    "/refused_connects",
    "/events/received",
    "/handlers/started",
    "/opened",
    "/packets_in",
];

pub(crate) async fn run() -> io::Result<()> {
    let mut server = start(None, FILES)?;
    let good = Good::connect(server.port(), 5).await?;
    good.served().await?;
    let before = server.counters()?;
    let (exhausting, others): (Vec<_>, Vec<_>) =
        BEHAVIORS.iter().partition(|behavior| behavior.name == "descriptors");
    let attackers = others
        .iter()
        .map(|behavior| Attackers::start(behavior, server.port(), CLIENTS, UNITS))
        .collect::<io::Result<Vec<_>>>()?;
    let since = Instant::now();
    loop {
        sleep(std::time::Duration::from_millis(200)).await;
        let counters = server.counters()?;
        let missing = missing(&counters, &before);
        let idle = others.iter().zip(&attackers).filter(|(_, attackers)| attackers.units() == 0);
        let idle: Vec<_> = idle.map(|(behavior, _)| behavior.name).collect();
        if missing.is_empty() && idle.is_empty() {
            break;
        }
        if since.elapsed() > PATIENCE {
            return Err(io::Error::other(format!(
                "nothing was counted at {missing:?}; nothing was sent by {idle:?}; {counters}"
            )));
        }
    }
    drop(attackers);
    settled(&mut server, &before, &good).await?;
    for behavior in exhausting {
        let attackers = Attackers::start(behavior, server.port(), 2 * FILES as usize, u64::MAX)?;
        let since = Instant::now();
        while attackers.units() < FILES.into() {
            if since.elapsed() > PATIENCE {
                return Err(io::Error::other("the descriptors were not exhausted"));
            }
            sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    let after = settled(&mut server, &before, &good).await?;
    println!("{after}");
    println!("nothing remains of {} behaviors", BEHAVIORS.len());
    Ok(())
}

/// The counters that have not grown.
fn missing(counters: &Value, before: &Value) -> Vec<&'static str> {
    let of = |counters: &Value, fact| counters.pointer(fact).and_then(Value::as_u64).unwrap_or(0);
    SEEN.into_iter().filter(|fact| of(counters, fact) <= of(before, fact)).collect()
}
