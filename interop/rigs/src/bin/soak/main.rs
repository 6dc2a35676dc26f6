//! Hundreds of concurrent clients, most of them misbehaving, against a server in a process of its
//! own. Afterwards no session, task or descriptor may remain, and memory must not have grown.
//!
//! `soak` starts the server (`soak serve`) and the clients, takes less than a minute, prints the
//! results, and fails if anything remains. Timers live in tasks, so no task means no timer.

mod clients;
mod server;
mod wire;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
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

/// Far longer than the sum of the server's timeouts, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Allowed growth of resident memory. Pages that the allocator keeps vary by at most 3 MiB between
/// runs. A server that leaked 2 KiB per client of the measured waves would exceed the limit. Entries
/// of lists are counted exactly.
const ALLOWED_KIB: u64 = 6 * 1024;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => soak(),
        Some("serve") => server::run(),
        Some(_) => Err(io::Error::other("usage: soak")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak() -> io::Result<()> {
    let mut server = Server::start()?;
    let port = server.port;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let empty = server.stats()?;
    let began = Instant::now();

    let mut failed = runtime.block_on(waves(port, WARM_UP));
    let warm = server.settled(&empty)?;
    println!("warm after {:.0?}", began.elapsed());
    failed.extend(runtime.block_on(waves(port, WAVES)));
    println!("all clients have ended after {:.0?}", began.elapsed());
    let end = server.settled(&empty)?;
    println!("all sessions have ended after {:.0?}", began.elapsed());

    println!("{}", serde_json::to_string_pretty(&end)?);
    let clients = clients::KINDS.len() * EACH * (WARM_UP + WAVES);
    let (before, after) = (number(&warm, "rss_kib"), number(&end, "rss_kib"));
    println!("{clients} clients; memory {before} KiB after the warm-up, {after} KiB at the end");
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
    if after > before + ALLOWED_KIB {
        return Err(io::Error::other(format!("memory has grown by {} KiB", after - before)));
    }
    println!("nothing remains: no session, no task, no descriptor");
    Ok(())
}

/// Runs waves of all kinds of clients until every client has ended. Returns the errors of
/// well-behaved clients.
async fn waves(port: u16, count: usize) -> Vec<(&'static str, io::Error)> {
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
    failed
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

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_default()
}

/// The process of the server. It answers each line on its standard input with its counters, and
/// ends with that input.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            // All threads share one heap of the C library. Otherwise the memory would depend on
            // which thread frees what.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let gone = || io::Error::other("the server did not start");
        let input = child.stdin.take().ok_or_else(gone)?;
        let mut output = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok());
        Ok(Self { child, input, output, port: port.ok_or_else(gone)? })
    }

    fn stats(&mut self) -> io::Result<Value> {
        self.input.write_all(b"stats\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits until the counts of sessions, tasks and descriptors are back at those in `empty`.
    fn settled(&mut self, empty: &Value) -> io::Result<Value> {
        let since = Instant::now();
        loop {
            let stats = self.stats()?;
            let left = ["sessions", "at_work", "tasks", "descriptors"]
                .into_iter()
                .filter(|name| number(&stats, name) > number(empty, name))
                .map(|name| format!("{name} {} (before: {})", stats[name], empty[name]))
                .collect::<Vec<_>>();
            if left.is_empty() {
                return Ok(stats);
            }
            if since.elapsed() > PATIENCE {
                return Err(io::Error::other(format!(
                    "left after all clients: {}",
                    left.join(", ")
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
