//! Hundreds of concurrent clients, most of them misbehaving, against a server in a process of its
//! own. Afterwards no session, task or descriptor may remain, and memory must not have grown.
//!
//! `soak` starts the server (`soak serve`) and the clients, takes less than a minute, prints the
//! results, and fails if anything remains. Timers live in tasks, so no task means no timer.
//!
//! `soak SECONDS` goes on for so long. It prints the counters after each wave as a line of JSON, and
//! also fails if the resident memory at rest, after the clients of ten waves have ended, has a slope.

mod clients;
mod server;

use std::{
    alloc::System,
    collections::BTreeMap,
    io,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use rigs::counted::{CountedServer, PATIENCE, number};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::task::JoinSet;

/// Clients of each kind per wave.
const EACH: usize = 12;

/// Waves before the first memory measurement. By then, buffers, tables and the allocator's caches
/// have reached their size.
const WARM_UP: usize = 6;

/// Waves between the two memory measurements.
const WAVES: usize = 10;

/// A wave starts while the clients of earlier waves are still connected.
const BETWEEN_WAVES: Duration = Duration::from_millis(1500);

/// Allowed growth of the memory that the server has allocated and not freed. It usually varies by 1
/// KiB. A server that leaked 11 bytes per client of the measured waves would exceed the limit.
const ALLOWED_HEAP_KIB: u64 = 32;

/// Allowed growth of resident memory in a long run. It contains freed pages that the allocator keeps,
/// which vary by up to 11 MiB between two measurements on a busy machine.
const ALLOWED_RESIDENT_KIB: f64 = 6.0 * 1024.0;

/// Counts the bytes of the server.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => soak(Duration::ZERO),
        Some("serve") => server::run(),
        Some(seconds) => match seconds.parse() {
            Ok(seconds) => soak(Duration::from_secs(seconds)),
            Err(_) => Err(io::Error::other("usage: soak [SECONDS]")),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(duration: Duration) -> io::Result<()> {
    let mut server = CountedServer::start(Command::new(std::env::current_exe()?).arg("serve"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let empty = server.counters()?;
    let began = Instant::now();

    let mut failed = runtime.block_on(waves(&mut server, WARM_UP, None))?;
    let warm = server.settled(&empty)?;
    println!("warm after {:.0?}", began.elapsed());
    let (begin, mut at_rest, mut count) = (Instant::now(), Vec::new(), WARM_UP);
    let end = loop {
        let since = (!duration.is_zero()).then_some(begin);
        failed.extend(runtime.block_on(waves(&mut server, WAVES, since))?);
        count += WAVES;
        let end = server.settled(&empty)?;
        at_rest.push((begin.elapsed().as_secs_f64(), number(&end, "rss_kib") as f64));
        if begin.elapsed() >= duration || !failed.is_empty() {
            break end;
        }
    };
    let resident = slope(&at_rest) * begin.elapsed().as_secs_f64();
    println!("all sessions have ended after {:.0?}", began.elapsed());

    println!("{}", serde_json::to_string_pretty(&end)?);
    let clients = clients::KINDS.len() * EACH * count;
    println!("{clients} clients; memory in KiB after the warm-up, and at the end:");
    for name in ["heap_kib", "rss_kib"] {
        println!("{name}: {}, {}", warm[name], end[name]);
    }
    let failed = grouped(failed);
    for (kind, errors) in &failed {
        eprintln!("{kind}: {errors}");
    }
    if !failed.is_empty() {
        return Err(io::Error::other(
            "well-behaved clients were not served, or clients were not disconnected",
        ));
    }
    check(&end)?;
    let heap = number(&end, "heap_kib").saturating_sub(number(&warm, "heap_kib"));
    if heap > ALLOWED_HEAP_KIB || resident > ALLOWED_RESIDENT_KIB {
        return Err(io::Error::other(format!(
            "the heap has grown by {heap} KiB, resident memory at rest by {resident:.0} KiB"
        )));
    }
    println!("nothing remains: no session, no task, no descriptor");
    Ok(())
}

/// Returns the slope of a line through points: the median of the slopes of all pairs of points,
/// which single outliers do not change.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(index, one)| {
        points.iter().skip(index + 1).map(move |other| (other.1 - one.1) / (other.0 - one.0))
    });
    let mut slopes: Vec<f64> = pairs.collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or_default()
}

/// Runs waves of all kinds of clients until every client has ended. Returns the errors of
/// well-behaved clients. Prints the counters after each wave, and the seconds `since` an instant.
async fn waves(
    server: &mut CountedServer,
    count: usize,
    since: Option<Instant>,
) -> io::Result<Vec<(&'static str, io::Error)>> {
    let port = server.port();
    let mut clients = JoinSet::new();
    for wave in 0..count {
        for n in 0..EACH {
            for kind in clients::KINDS {
                let client = (kind.run)(port, wave * EACH + n);
                clients.spawn(async move {
                    // Without a timeout, a client that the server forgot would block the test.
                    let result = tokio::time::timeout(PATIENCE, client).await;
                    let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                    (kind, result)
                });
            }
        }
        tokio::time::sleep(BETWEEN_WAVES).await;
        if let Some(since) = since {
            let mut counters = server.counters()?;
            counters["seconds"] = since.elapsed().as_secs_f64().into();
            println!("{counters}");
        }
    }
    let mut failed = Vec::new();
    while let Some(ended) = clients.join_next().await {
        match ended {
            Ok((kind, Err(error))) if kind.succeeds || error.kind() == io::ErrorKind::TimedOut => {
                failed.push((kind.name, error));
            }
            Ok(_) => {}
            Err(error) => failed.push(("panic", io::Error::other(error))),
        }
    }
    Ok(failed)
}

/// Checks that the server has met every kind of misbehavior. Otherwise the test proves nothing.
fn check(stats: &Value) -> io::Result<()> {
    let seen = [
        "/opened",
        "/upgraded",
        "/probes_failed",
        "/closed/transport_close",
        "/closed/transport_error",
        "/closed/ping_timeout",
        "/closed/parse_error",
        "/closed/forced_close",
        "/refused/unknown_transport",
        "/refused/unknown_sid",
        "/refused/concurrent_poll",
        "/refused/too_large",
        "/refused/too_many_fragments",
        "/refused/body_timeout",
        "/refused/malformed_packet",
        "/refused/malformed_frame",
    ];
    for fact in seen {
        if stats.pointer(fact).and_then(Value::as_u64).unwrap_or_default() == 0 {
            return Err(io::Error::other(format!("nothing was counted at {fact}")));
        }
    }
    let closed = stats["closed"].as_object().into_iter().flat_map(|closed| closed.values());
    let closed: u64 = closed.filter_map(Value::as_u64).sum();
    if closed != number(stats, "opened") {
        return Err(io::Error::other("some sessions were opened and never closed"));
    }
    Ok(())
}

fn grouped(failed: Vec<(&'static str, io::Error)>) -> BTreeMap<&'static str, String> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (kind, error) in failed {
        groups.entry(kind).or_default().push(error.to_string());
    }
    let line = |errors: Vec<String>| {
        format!(
            "{} times, the first time: {}",
            errors.len(),
            errors.into_iter().next().unwrap_or_default()
        )
    };
    groups.into_iter().map(|(kind, errors)| (kind, line(errors))).collect()
}
