//! Hostile clients against a server in a process of its own: what they cost the server and its
//! well-behaved clients, and whether anything of them remains.
//!
//! `hostile [--seconds N] [--good N] [--node SCRIPT] [BEHAVIOR…]` prints a table. Each row is one
//! behavior, for three seconds beside 100 good clients, against our server and then against Node's
//! in `SCRIPT`. The attackers run in a process of their own, which is then killed (SIGKILL), so
//! that no connection is closed properly by them.
//!
//! `hostile short` lets few clients of all behaviors attack our server, and fails unless it counts
//! what it refused and returns to its state before. It prints no times.

mod behaviors;
mod good;
mod http2;
mod server;
mod short;

use std::{
    io,
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rigs::counted::{CountedServer, number};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    runtime::Runtime,
    time::sleep,
};

use crate::{
    behaviors::{BEHAVIORS, Behavior, Count},
    good::Good,
};

/// The open files of a server. The behavior `descriptors` takes all of them.
const FILES: u32 = 1000;

const USAGE: &str =
    "usage: hostile [--seconds N] [--good N] [--node SCRIPT] [BEHAVIOR…], or hostile short";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["serve"] => server::run(),
        ["attack", name, port, clients, limit] => attack(name, port, clients, limit),
        ["short"] => runtime().and_then(|runtime| runtime.block_on(short::run())),
        _ => Options::parse(&words).and_then(|options| runtime()?.block_on(full(&options))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

struct Options<'a> {
    duration: Duration,
    good: usize,
    /// The script of Node's server.
    node: Option<&'a str>,
    behaviors: Vec<&'static Behavior>,
}

impl<'a> Options<'a> {
    fn parse(words: &[&'a str]) -> io::Result<Self> {
        let mut options =
            Self { duration: Duration::from_secs(3), good: 100, node: None, behaviors: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| io::Error::other(USAGE));
            match *word {
                "--seconds" => {
                    options.duration =
                        Duration::from_secs(value()?.parse().map_err(io::Error::other)?);
                }
                "--good" => options.good = value()?.parse().map_err(io::Error::other)?,
                "--node" => options.node = Some(value()?),
                name => options.behaviors.push(behavior(name)?),
            }
        }
        if options.behaviors.is_empty() {
            options.behaviors.extend(BEHAVIORS);
        }
        Ok(options)
    }
}

fn behavior(name: &str) -> io::Result<&'static Behavior> {
    BEHAVIORS.iter().find(|behavior| behavior.name == name).ok_or_else(|| {
        let names: Vec<_> = BEHAVIORS.iter().map(|behavior| behavior.name).collect();
        io::Error::other(format!("{USAGE}\nthe behaviors are: {}", names.join(" ")))
    })
}

/// Starts our server with a limit of open files, or a script with Node.
fn start(script: Option<&str>, files: u32) -> io::Result<CountedServer> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]);
    match script {
        Some(script) => command.args(["node", script]),
        None => command.arg(std::env::current_exe()?).arg("serve"),
    };
    CountedServer::start(&mut command)
}

/// Runs the clients of one behavior, and prints what they have done, until this process is killed.
fn attack(name: &str, port: &str, clients: &str, limit: &str) -> io::Result<()> {
    let behavior = behavior(name)?;
    let port = port.parse().map_err(io::Error::other)?;
    let clients: usize = clients.parse().map_err(io::Error::other)?;
    let limit = limit.parse().map_err(io::Error::other)?;
    let count = Arc::new(Count { units: AtomicU64::new(0), closed: AtomicU64::new(0), limit });
    runtime()?.block_on(async {
        for _ in 0..clients {
            tokio::spawn(behavior.repeat(port, count.clone()));
        }
        loop {
            sleep(Duration::from_millis(50)).await;
            println!("{} {}", count.units.load(Relaxed), count.closed.load(Relaxed));
        }
    })
}

/// The process of the attackers. It is killed when this value is dropped.
struct Attackers {
    child: Child,
    counts: Arc<[AtomicU64; 2]>,
}

impl Attackers {
    fn start(behavior: &Behavior, port: u16, clients: usize, limit: u64) -> io::Result<Self> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.arg("attack").arg(behavior.name);
        command.args([port.to_string(), clients.to_string(), limit.to_string()]);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let read = counts.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                for (count, word) in read.iter().zip(line.split(' ')) {
                    count.store(word.parse().unwrap_or_default(), Relaxed);
                }
            }
        });
        Ok(Self { child, counts })
    }

    fn units(&self) -> u64 {
        self.counts[0].load(Relaxed)
    }

    /// How often the server ended a connection.
    fn closed(&self) -> u64 {
        self.counts[1].load(Relaxed)
    }
}

/// Measures all behaviors and prints the table.
async fn full(options: &Options<'_>) -> io::Result<()> {
    println!("{HEADER}");
    let mut left = Vec::new();
    for (title, script) in [("ours", None), ("Node", options.node)] {
        if title == "Node" && script.is_none() {
            continue;
        }
        let wanted = |behavior: &&&Behavior| script.is_none() || behavior.node;
        let behaviors = options.behaviors.iter().filter(wanted).copied().map(Some);
        for behavior in std::iter::once(None).chain(behaviors) {
            // A server of its own, because the allocator keeps memory.
            let mut server = start(script, FILES)?;
            let good = Good::connect(server.port(), options.good).await?;
            good.served().await?;
            let settled = measure(&mut server, &good, title, behavior, options.duration).await?;
            if let Err(error) = settled {
                let name = behavior.map_or("none", |behavior| behavior.name);
                left.push(format!("{title}, {name}: {error}"));
            }
        }
    }
    match left.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(left.join("\n"))),
    }
}

const HEADER: &str = "\
| behavior | server | clients | units per s | CPU % | µs per unit | memory +KiB | p50 ms | p99 ms | good clients lost | closed | baseline |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|";

/// Measures one behavior, or no attack, and prints its row. The inner result is whether the server
/// returned to its state before.
async fn measure(
    server: &mut CountedServer,
    good: &Good,
    title: &str,
    behavior: Option<&Behavior>,
    duration: Duration,
) -> io::Result<io::Result<()>> {
    let (before, process) = (server.counters()?, server.process());
    let (memory, cpu, since) = (process.memory()?, process.cpu()?, Instant::now());
    let mut highest = memory;
    good.take();
    let attackers = behavior
        .map(|behavior| Attackers::start(behavior, server.port(), behavior.clients, u64::MAX))
        .transpose()?;
    while since.elapsed() < duration {
        sleep(Duration::from_millis(50)).await;
        highest = highest.max(process.memory()?);
    }
    let spent = (process.cpu()? - cpu) as f64 / 1e9;
    let (seconds, round_trips) = (since.elapsed().as_secs_f64(), good.take());
    let (units, closed) =
        attackers.as_ref().map_or((0, 0), |attackers| (attackers.units(), attackers.closed()));
    if let Some(mut attackers) = attackers {
        attackers.child.kill().await?;
    }
    let settled = settled(server, &before, good).await;
    let state = settled.as_ref().map_or_else(ToString::to_string, |after| {
        format!("yes, memory {:+} KiB", number(after, "rss_kib") as i64 - memory as i64)
    });
    println!(
        "| {} | {title} | {} | {:.0} | {:.0} | {} | {} | {:.1} | {:.1} | {} | {closed} | {state} |",
        behavior.map_or("none", |behavior| behavior.name).replace('_', " "),
        behavior.map_or(0, |behavior| behavior.clients),
        units as f64 / seconds,
        spent / seconds * 100.0,
        if units == 0 { "–".to_owned() } else { format!("{:.1}", spent * 1e6 / units as f64) },
        highest - memory,
        round_trips.percentile(50).as_secs_f64() * 1e3,
        round_trips.percentile(99).as_secs_f64() * 1e3,
        round_trips.lost,
    );
    Ok(settled.map(drop))
}

/// Waits until good clients are served and nothing remains of the attackers. The good clients must
/// run while this waits.
async fn settled(
    server: &mut CountedServer,
    before: &serde_json::Value,
    good: &Good,
) -> io::Result<serde_json::Value> {
    good.served().await?;
    let since = Instant::now();
    loop {
        let counters = server.counters()?;
        let left = CountedServer::left(&counters, before);
        if left.is_empty() {
            return Ok(counters);
        }
        if since.elapsed() > rigs::counted::PATIENCE {
            return Err(io::Error::other(left));
        }
        sleep(Duration::from_millis(200)).await;
    }
}
