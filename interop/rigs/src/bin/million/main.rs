//! Very many clients of a server with the contract of the `bench` rig, all in this process.
//!
//! `million PORT PID CLIENTS [SECONDS]` connects the clients, watches heartbeats for SECONDS (25 by
//! default, one interval of the heartbeat), broadcasts to all, lets all join rooms, and disconnects
//! all at once. It prints one line of JSON. A client costs this process 32 bytes; the kernel's part
//! is in the output. The limit of open files (`ulimit -n`) must exceed CLIENTS in this process and in
//! the server.
//!
//! If the limit is less, several of these processes can measure as many servers together: `SHARDS` is
//! their number, and `MEETING` a folder in which they wait for each other before each phase.

mod crowd;

use std::{
    env,
    error::Error,
    fs, io,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use rigs::process::{Process, figure};
use serde_json::{Value, json};

use self::crowd::Crowd;

/// Bytes of text in a broadcast.
const TEXT: usize = 256;
const ROOMS: usize = 10_000;
/// Clients that join rooms at once, so that the generator does not measure its own queue.
const JOINS_IN_FLIGHT: usize = 1024;
/// Longest time without progress, after which a phase counts what is missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for the last packets of a phase.
const PAUSE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let result = match numbers[..] {
        [port, pid, clients] => run(port as u16, Process(pid as u32), clients as usize, 25),
        [port, pid, clients, seconds] => {
            run(port as u16, Process(pid as u32), clients as usize, seconds)
        }
        _ => Err("usage: million PORT PID CLIENTS [SECONDS]".into()),
    };
    match result {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("million: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(port: u16, server: Process, wanted: usize, seconds: u64) -> Result<Value, Box<dyn Error>> {
    let shards = Shards::from_environment();
    let before = Memory::read(server)?;
    let mut crowd = Crowd::new(port)?;

    shards.meet(&mut crowd, "connect")?;
    let (began, cpu) = (Instant::now(), server.cpu()?);
    crowd.connect(wanted, PATIENCE)?;
    let connect = began.elapsed();
    let connect_cpu = server.cpu()? - cpu;
    let clients = crowd.ready();
    if clients == 0 {
        return Err(crowd.error().unwrap_or("no client could connect").to_owned().into());
    }

    shards.meet(&mut crowd, "heartbeats")?;
    crowd.wait(PAUSE)?;
    let (began, cpu, pings) = (Instant::now(), server.cpu()?, crowd.pings());
    crowd.wait(Duration::from_secs(seconds))?;
    let heartbeats = (server.cpu()? - cpu) as f64 / 1e9 / began.elapsed().as_secs_f64();
    let pings = crowd.pings() - pings;
    let memory = Memory::read(server)?;

    let mut casts =
        (0..3).map(|_| broadcast(&mut crowd, server)).collect::<io::Result<Vec<_>>>()?;
    casts.sort_by(|one, other| one.0.total_cmp(&other.0));
    shards.meet(&mut crowd, "join")?;
    let join = joins(&mut crowd, server)?;
    let lost = clients - crowd.ready();
    let error = crowd.error().map(str::to_owned);

    shards.meet(&mut crowd, "leave")?;
    let (began, cpu) = (Instant::now(), server.cpu()?);
    drop(crowd);
    let closed = began.elapsed();
    let few = before.sockets + (shards.count * clients) as u64 / 100 + 50;
    while sockets()? > few && began.elapsed() < 4 * PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    let leave = began.elapsed();
    let leave_cpu = server.cpu()? - cpu;
    thread::sleep(PAUSE);

    let per_client = |kib: u64| (kib * 1024) as f64 / clients as f64;
    let micros = |nanos: u64| nanos as f64 / 1e3 / clients as f64;
    Ok(json!({
        "wanted": wanted,
        "clients": clients,
        "lost": lost,
        "error": error,
        "rss_per_client": per_client(memory.server.saturating_sub(before.server)),
        "kernel_per_client":
            per_client(memory.kernel.saturating_sub(before.kernel)) / shards.count as f64,
        "generator_per_client": per_client(memory.generator.saturating_sub(before.generator)),
        "rss_mib": memory.server as f64 / 1024.0,
        "rss_after_mib": server.memory()? as f64 / 1024.0,
        "connect_seconds": connect.as_secs_f64(),
        "connect_cpu_us": micros(connect_cpu),
        "heartbeat_cpu_percent": heartbeats * 100.0,
        "pings": pings,
        "broadcast": casts.swap_remove(1).1,
        "join": join,
        "leave_seconds": leave.as_secs_f64(),
        "leave_close_seconds": closed.as_secs_f64(),
        "leave_cpu_us": micros(leave_cpu),
    }))
}

/// The processes that measure together.
struct Shards {
    count: usize,
    meeting: PathBuf,
}

impl Shards {
    fn from_environment() -> Self {
        let count = env::var("SHARDS").ok().and_then(|count| count.parse().ok());
        let meeting = env::var_os("MEETING").map(PathBuf::from);
        Self { count: count.unwrap_or(1), meeting: meeting.unwrap_or_default() }
    }

    /// Serves the clients until all processes have come to this phase. A process that ended before
    /// does not delay the others forever.
    fn meet(&self, crowd: &mut Crowd, phase: &str) -> io::Result<()> {
        if self.count == 1 {
            return Ok(());
        }
        let folder = self.meeting.join(phase);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(std::process::id().to_string()), "")?;
        let began = Instant::now();
        while fs::read_dir(&folder)?.count() < self.count && began.elapsed() < 10 * PATIENCE {
            crowd.wait(Duration::from_millis(200))?;
        }
        Ok(())
    }
}

/// Broadcasts a text to all clients, the sender included. Returns the seconds it took, and all
/// figures.
fn broadcast(crowd: &mut Crowd, server: Process) -> io::Result<(f64, Value)> {
    let cpu = server.cpu()?;
    let text = format!(r#"42["cast","{}"]"#, "x".repeat(TEXT));
    let clients = crowd.ready();
    crowd.casts.clear();
    crowd.began = Instant::now();
    crowd.send_from_first(text.as_bytes())?;
    crowd.until(PATIENCE, |crowd| crowd.casts.len() >= clients, |crowd| crowd.casts.len())?;
    let cpu = server.cpu()? - cpu;
    let arrivals = &mut crowd.casts;
    arrivals.sort_unstable();
    let at = |percent: usize| {
        let index = arrivals.len().saturating_sub(1) * percent / 100;
        f64::from(arrivals.get(index).copied().unwrap_or_default()) / 1e3
    };
    let seconds = at(100) / 1e3;
    let bytes = (arrivals.len() * text.len()) as f64;
    Ok((
        seconds,
        json!({
            "seconds": seconds,
            "mb_per_second": bytes / 1e6 / seconds.max(f64::MIN_POSITIVE),
            "p50_ms": at(50),
            "p99_ms": at(99),
            "cpu_us": cpu as f64 / 1e3 / clients as f64,
            "missing": clients.saturating_sub(arrivals.len()),
        }),
    ))
}

/// Lets every client join one of the rooms.
fn joins(crowd: &mut Crowd, server: Process) -> io::Result<Value> {
    let (began, cpu, clients) = (Instant::now(), server.cpu()?, crowd.ready());
    crowd.acks = 0;
    let mut sent = 0;
    for index in 0..crowd.len() {
        let join = format!(r#"421["join","room-{}"]"#, index % ROOMS);
        sent += usize::from(crowd.send(index, join.as_bytes())?);
        let enough = sent.saturating_sub(JOINS_IN_FLIGHT);
        crowd.until(PATIENCE, |crowd| crowd.acks >= enough, |crowd| crowd.acks)?;
    }
    crowd.until(PATIENCE, |crowd| crowd.acks >= sent, |crowd| crowd.acks)?;
    Ok(json!({
        "rooms": ROOMS.min(clients),
        "seconds": began.elapsed().as_secs_f64(),
        "cpu_us": (server.cpu()? - cpu) as f64 / 1e3 / clients as f64,
        "missing": sent - crowd.acks,
    }))
}

/// Memory in KiB, and the TCP sockets of the machine.
struct Memory {
    server: u64,
    generator: u64,
    /// The kernel's objects and socket buffers, for both ends of the connections.
    kernel: u64,
    sockets: u64,
}

impl Memory {
    fn read(server: Process) -> io::Result<Self> {
        Ok(Self {
            server: server.memory()?,
            generator: Process(std::process::id()).memory()?,
            kernel: figure("/proc/meminfo", "Slab:", 1)?
                + 4 * figure("/proc/net/sockstat", "TCP:", 10)?,
            sockets: sockets()?,
        })
    }
}

fn sockets() -> io::Result<u64> {
    figure("/proc/net/sockstat", "TCP:", 2)
}
