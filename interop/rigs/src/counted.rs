//! Servers in processes of their own that report their counters.
//!
//! Such a server prints a line that ends with its port. Then it answers each line on its standard
//! input with its counters as one line of JSON, and ends with that input.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use engineio_server::{Engine, EngineConfig};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::process::Process;

/// Long enough for a well-behaved client on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// Far longer than the sum of the server's timeouts, for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Sets all deadlines of an engine to a few seconds.
pub fn deadlines(config: EngineConfig) -> EngineConfig {
    config
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(DEADLINE)
        .upgrade_timeout(DEADLINE)
        .head_timeout(DEADLINE)
        .body_timeout(DEADLINE)
        .write_timeout(DEADLINE)
        .linger(Duration::from_millis(500))
}

/// Prints the port, then reports the counters of a server in this process until its input ends.
///
/// # Errors
///
/// Returns an error if the standard streams or `counters` fail.
pub fn report(port: u16, mut counters: impl FnMut() -> io::Result<Value>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "LISTENING on port {port}")?;
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(output, "{}", counters()?)?;
    }
    Ok(())
}

/// Returns the sums over the counters of `engines`, and the resource usage of this process.
///
/// # Errors
///
/// Returns an error if `/proc` cannot be read.
pub fn counters(engines: &[Engine], runtime: &Handle) -> io::Result<Value> {
    let stats: Vec<_> = engines.iter().map(Engine::stats).collect();
    let sum = |of: &dyn Fn(&engineio_server::Stats) -> u64| stats.iter().map(of).sum::<u64>();
    let mut closed = Map::new();
    let mut refused = Map::new();
    for stats in &stats {
        let groups = [(&mut closed, stats.closed.entries().collect::<Vec<_>>())];
        let groups = groups.into_iter().chain([(&mut refused, stats.refused.entries().collect())]);
        for (group, entries) in groups {
            for (name, count) in entries {
                let before = group.get(name).and_then(Value::as_u64).unwrap_or_default();
                group.insert(name.to_owned(), json!(before + count));
            }
        }
    }
    Ok(json!({
        "sessions": sum(&|stats| stats.sessions.total()),
        "at_work": sum(&|stats| stats.at_work),
        "opened": sum(&|stats| stats.opened),
        "upgraded": sum(&|stats| stats.upgraded),
        "probes_failed": sum(&|stats| stats.probes_failed),
        "packets_in": sum(&|stats| stats.traffic.packets_in),
        "packets_out": sum(&|stats| stats.traffic.packets_out),
        "closed": closed,
        "refused": refused,
        "tasks": runtime.metrics().num_alive_tasks(),
        "descriptors": fs::read_dir("/proc/self/fd")?.count(),
        "rss_kib": Process(std::process::id()).memory()?,
    }))
}

/// Returns a counter, or 0 if there is none of this name.
pub fn number(counters: &Value, name: &str) -> u64 {
    counters[name].as_u64().unwrap_or_default()
}

/// The process of a server. It ends when this value is dropped.
#[derive(Debug)]
pub struct CountedServer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl CountedServer {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start or prints no port.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
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

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process.
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Returns the counters.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has ended.
    pub fn counters(&mut self) -> io::Result<Value> {
        self.input.write_all(b"counters\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Returns the counts of sessions, tasks and descriptors that are higher than in `before`.
    pub fn left(counters: &Value, before: &Value) -> String {
        ["sessions", "at_work", "tasks", "descriptors"]
            .into_iter()
            .filter(|name| number(counters, name) > number(before, name))
            .map(|name| format!("{name} {} (before: {})", counters[name], before[name]))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Waits until the counts of sessions, tasks and descriptors are back at those in `before`.
    ///
    /// # Errors
    ///
    /// Returns an error that lists what is left after [`PATIENCE`].
    pub fn settled(&mut self, before: &Value) -> io::Result<Value> {
        let since = Instant::now();
        loop {
            let counters = self.counters()?;
            let left = Self::left(&counters, before);
            if left.is_empty() {
                return Ok(counters);
            }
            if since.elapsed() > PATIENCE {
                return Err(io::Error::other(left));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for CountedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
