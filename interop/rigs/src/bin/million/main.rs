//! Very many clients of servers with the contract of the `bench` rig, all in this process.
//!
//! `million PORTS PIDS CLIENTS [SECONDS]` connects the clients, watches heartbeats for SECONDS (25 by
//! default, one interval of the heartbeat), broadcasts to all, lets all join rooms, and disconnects
//! all at once. It prints one line of JSON. PORTS and PIDS are those of one server, or lists with
//! commas of several that share the clients. A client costs this process 32 bytes; the kernel's part
//! is in the output.
//!
//! A thread serves at most as many clients as the limit of open files (`ulimit -n`) allows. If the
//! limit is less than CLIENTS, set the environment variable `TABLES` to the number of threads, each
//! with a table of descriptors of its own. It is the number of servers if it is not set.

mod crowd;

use std::{
    env,
    error::Error,
    fs, io,
    process::ExitCode,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use rigs::{
    descriptors,
    process::{Process, figure},
};
use serde_json::{Value, json};

use self::crowd::{Crowd, Report, Task};

/// Bytes of text in a broadcast.
const TEXT: usize = 256;
const ROOMS: usize = 10_000;
/// Clients of all crowds that join rooms at once, so that the generator does not measure its own
/// queue.
const JOINS_IN_FLIGHT: usize = 1024;
/// Handshakes in progress in all crowds.
const HANDSHAKES: usize = 1024;
/// Longest time without progress, after which a phase counts what is missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for the last packets of a phase.
const PAUSE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (servers, clients, seconds) = match &arguments[..] {
        [ports, pids, clients] => (Servers::parse(ports, pids), clients.parse(), Ok(25)),
        [ports, pids, clients, seconds] => {
            (Servers::parse(ports, pids), clients.parse(), seconds.parse())
        }
        _ => (None, Ok(0), Ok(0)),
    };
    let result = match (servers, clients, seconds) {
        (Some(servers), Ok(clients), Ok(seconds)) => run(&servers, clients, seconds),
        _ => Err("usage: million PORTS PIDS CLIENTS [SECONDS]".into()),
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

fn run(servers: &Servers, wanted: usize, seconds: u64) -> Result<Value, Box<dyn Error>> {
    let before = Memory::read(servers)?;
    let pressure = memory_pressure()?;
    let crowds = Crowds::start(servers)?;

    let (began, cpu) = (Instant::now(), servers.cpu()?);
    let count = crowds.tasks.len();
    let share = |index| wanted / count + usize::from(index < wanted % count);
    let connected = crowds.perform(|index| Task::Connect(share(index)))?;
    let connect = began.elapsed();
    let connect_cpu = servers.cpu()? - cpu;
    let clients = connected.ready;
    if clients == 0 {
        return Err(connected.error.unwrap_or_else(|| "no client could connect".to_owned()).into());
    }

    thread::sleep(PAUSE);
    let pings = crowds.perform(|_| Task::Report)?.pings;
    let (began, cpu) = (Instant::now(), servers.cpu()?);
    thread::sleep(Duration::from_secs(seconds));
    let heartbeats = (servers.cpu()? - cpu) as f64 / 1e9 / began.elapsed().as_secs_f64();
    let pings = crowds.perform(|_| Task::Report)?.pings - pings;
    let memory = Memory::read(servers)?;

    let mut casts = (0..3).map(|_| broadcast(&crowds, servers)).collect::<io::Result<Vec<_>>>()?;
    casts.sort_by(|one, other| one.0.total_cmp(&other.0));

    let (began, cpu) = (Instant::now(), servers.cpu()?);
    let joined = crowds.perform(|_| Task::Join)?;
    let (join, join_cpu) = (began.elapsed(), servers.cpu()? - cpu);

    let (began, cpu) = (Instant::now(), servers.cpu()?);
    crowds.perform(|_| Task::Leave)?;
    let few = before.sockets + clients as u64 / 100 + 50;
    while sockets()? > few && began.elapsed() < 4 * PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    let leave = began.elapsed();
    let leave_cpu = servers.cpu()? - cpu;
    thread::sleep(PAUSE);
    let pressure = memory_pressure()?.saturating_sub(pressure);

    let per_client = |kib: u64| (kib * 1024) as f64 / clients as f64;
    let micros = |nanos: u64| nanos as f64 / 1e3 / clients as f64;
    Ok(json!({
        "wanted": wanted,
        "clients": clients,
        "lost": clients - joined.ready,
        "error": joined.error,
        "processes": servers.0.len(),
        "rss_per_client": per_client(memory.server.saturating_sub(before.server)),
        "kernel_per_client": per_client(memory.kernel.saturating_sub(before.kernel)),
        "generator_per_client": per_client(memory.generator.saturating_sub(before.generator)),
        "rss_mib": memory.server as f64 / 1024.0,
        "rss_after_mib": servers.memory()? as f64 / 1024.0,
        "connect_seconds": connect.as_secs_f64(),
        "connect_cpu_us": micros(connect_cpu),
        "heartbeat_cpu_percent": heartbeats * 100.0,
        "pings": pings,
        "broadcast": casts.swap_remove(1).1,
        "join": {
            "rooms": ROOMS.min(clients),
            "seconds": join.as_secs_f64(),
            "cpu_us": micros(join_cpu),
            "missing": joined.missing,
        },
        "leave_seconds": leave.as_secs_f64(),
        "leave_cpu_us": micros(leave_cpu),
        "pressure_seconds": pressure as f64 / 1e3,
    }))
}

/// The servers, each a port and a process.
struct Servers(Vec<(u16, Process)>);

impl Servers {
    fn parse(ports: &str, pids: &str) -> Option<Self> {
        let pairs = ports.split(',').zip(pids.split(','));
        let parse =
            |(port, pid): (&str, &str)| Some((port.parse().ok()?, Process(pid.parse().ok()?)));
        pairs.map(parse).collect::<Option<_>>().map(Self)
    }

    fn cpu(&self) -> io::Result<u64> {
        self.0.iter().map(|(_, process)| process.cpu()).sum()
    }

    fn memory(&self) -> io::Result<u64> {
        self.0.iter().map(|(_, process)| process.memory()).sum()
    }
}

/// The threads of all crowds.
struct Crowds {
    tasks: Vec<Sender<Task>>,
    reports: Receiver<io::Result<Report>>,
    servers: usize,
    epoch: Instant,
}

impl Crowds {
    fn start(servers: &Servers) -> Result<Self, Box<dyn Error>> {
        let tables = env::var("TABLES").map_or(Ok(1), |tables| tables.parse())?;
        let count = servers.0.len().max(tables);
        // Crowds have source addresses of their own, from 127.0.1.1 to 127.0.255.1.
        let numbers = 0..u8::try_from(count).map_err(|_| "at most 255 threads")?;
        let (sender, reports) = mpsc::channel();
        let (mut tasks, mut parts) = (Vec::new(), Vec::new());
        for (number, (port, _)) in numbers.zip(servers.0.iter().cycle().copied()) {
            let (task, received) = mpsc::channel();
            tasks.push(task);
            parts.push((number, port, received));
        }
        let epoch = Instant::now();
        let failed = sender.clone();
        descriptors::threads(parts, move |(number, port, received)| {
            let handshakes = (HANDSHAKES / count).clamp(16, 256);
            let crowd = Crowd::new(port, number, handshakes, epoch);
            crowd
                .and_then(|crowd| crowd::work(crowd, count, &received, &sender))
                .or_else(|error| failed.send(Err(error)).map_err(io::Error::other))
        });
        Ok(Self { tasks, reports, servers: servers.0.len(), epoch })
    }

    /// Lets each crowd perform a task. Returns the sums of their reports.
    fn perform(&self, task: impl Fn(usize) -> Task) -> io::Result<Report> {
        for (index, sender) in self.tasks.iter().enumerate() {
            sender.send(task(index)).map_err(io::Error::other)?;
        }
        let mut total = Report { ready: 0, pings: 0, missing: 0, casts: Vec::new(), error: None };
        for _ in &self.tasks {
            let mut report = self.reports.recv().map_err(io::Error::other)??;
            total.ready += report.ready;
            total.pings += report.pings;
            total.missing += report.missing;
            total.casts.append(&mut report.casts);
            total.error = total.error.or(report.error);
        }
        Ok(total)
    }
}

/// Broadcasts a text to all clients of each server, the sender included. Returns the seconds it
/// took, and all figures.
fn broadcast(crowds: &Crowds, servers: &Servers) -> io::Result<(f64, Value)> {
    let cpu = servers.cpu()?;
    let began = crowds.epoch.elapsed().as_micros() as u32;
    let report = crowds.perform(|index| Task::Broadcast { sends: index < crowds.servers })?;
    let cpu = servers.cpu()? - cpu;
    let mut arrivals = report.casts;
    arrivals.sort_unstable();
    let at = |percent: usize| {
        let index = arrivals.len().saturating_sub(1) * percent / 100;
        f64::from(arrivals.get(index).copied().unwrap_or(began) - began) / 1e3
    };
    let seconds = at(100) / 1e3;
    let bytes = arrivals.len() as f64 * (TEXT + r#"42["cast",""]"#.len()) as f64;
    Ok((
        seconds,
        json!({
            "seconds": seconds,
            "mb_per_second": bytes / 1e6 / seconds.max(f64::MIN_POSITIVE),
            "p50_ms": at(50),
            "p99_ms": at(99),
            "cpu_us": cpu as f64 / 1e3 / report.ready.max(1) as f64,
            "missing": report.missing,
        }),
    ))
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
    fn read(servers: &Servers) -> io::Result<Self> {
        Ok(Self {
            server: servers.memory()?,
            generator: Process(std::process::id()).memory()?,
            kernel: figure("/proc/meminfo", "Slab:", 1)?
                + 4 * figure("/proc/net/sockstat", "TCP:", 10)?,
            sockets: sockets()?,
        })
    }
}

/// Returns for how many milliseconds the kernel was short of memory for TCP (`net.ipv4.tcp_mem`).
fn memory_pressure() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let mut counters = names.zip(lines.next().unwrap_or_default().split_whitespace());
    let counter = counters.find(|(name, _)| *name == "TCPMemoryPressuresChrono");
    Ok(counter.and_then(|(_, value)| value.parse().ok()).unwrap_or_default())
}

fn sockets() -> io::Result<u64> {
    figure("/proc/net/sockstat", "TCP:", 2)
}
