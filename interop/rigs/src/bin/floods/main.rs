//! Measures how long a client waits while other clients flood the server.
//!
//! `floods PORT PID FLOOD CLIENTS [PROBES]` floods a server that handles the events of the `bench`
//! rig. It prints one line of JSON: the CPU time that the server spends, and the time that passes,
//! between the moment a well-behaved client sends an event and the moment it receives the echo, in
//! milliseconds. On a noisy machine, the CPU time is reliable and the latency is not.
//!
//! `floods PORT PID FLOOD CLIENTS close` terminates the server during the flood. It prints how long
//! termination takes, in milliseconds of CPU time and of wall time.
//!
//! `FLOOD` is `echo`, `json` (nested arrays, for a handler that takes a dynamic value), `deflate` (a
//! megabyte compressed to about a kilobyte; the server needs `DEFLATE=1`) or `noop`.
//!
//! The environment variable `TIMEOUT` is the time limit for each packet that a handshake or a probe
//! waits for, in seconds. The default is 60, because a flooded server may take seconds to respond.

mod client;

use std::{
    error::Error,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rigs::process::Process;
use serde_json::json;

use self::client::{Client, deflated, frame};

/// Approximate number of bytes per write of a flood.
const CHUNK: usize = 64 * 1024;

/// Time limit for the server to terminate.
const MAX_TERMINATION: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(figure) => {
            println!("{figure}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("floods: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<serde_json::Value, Box<dyn Error>> {
    let [port, pid, flood, clients, rest @ ..] = arguments else {
        return Err("usage: floods PORT PID echo|json|deflate|noop CLIENTS [PROBES|close]".into());
    };
    let (port, server, clients) = (port.parse()?, Process(pid.parse()?), clients.parse()?);
    let message = message(flood).ok_or("the floods are: echo json deflate noop")?;
    let over = Arc::new(AtomicBool::new(false));
    let timeout = std::env::var("TIMEOUT").map_or(Ok(60), |seconds| seconds.parse())?;
    let timeout = Duration::from_secs(timeout);
    // The probe connects before the flood begins.
    let probe = Client::connect(port, false, timeout)?;
    for _ in 0..clients {
        let client = Client::connect(port, flood == "deflate", timeout)?;
        start_flood(client, &message, &over)?;
    }
    thread::sleep(Duration::from_millis(500));
    let figures = match rest {
        [close] if close == "close" => close_under_load(server)?,
        [probes] => probes_under_load(probe, server, probes.parse()?)?,
        _ => probes_under_load(probe, server, 30)?,
    };
    over.store(true, Ordering::Relaxed);
    Ok(json!({ "flood": flood, "clients": clients, "figures": figures }))
}

/// Returns one frame of a flood, or `None` if the name is unknown.
fn message(flood: &str) -> Option<Vec<u8>> {
    Some(match flood {
        "echo" => frame(0x81, br#"42["echo"]"#),
        "noop" => frame(0x81, b"6"),
        "json" => {
            let arrays = vec!["[]"; 333_000].join(",");
            frame(0x81, format!(r#"42["value",[{arrays}]]"#).as_bytes())
        }
        "deflate" => {
            let text = format!(r#"42["nobody","{}"]"#, "x".repeat(990_000));
            frame(0xc1, &deflated(text.as_bytes()))
        }
        _ => return None,
    })
}

/// Sends and reads on two threads until the flood is over.
fn start_flood(client: Client, message: &[u8], over: &Arc<AtomicBool>) -> std::io::Result<()> {
    let chunk = message.repeat(CHUNK.div_ceil(message.len()));
    let (mut reader, mut writer) = client.split()?;
    let stop = over.clone();
    thread::spawn(move || while !stop.load(Ordering::Relaxed) && reader.discard().is_ok() {});
    let stop = over.clone();
    thread::spawn(move || while !stop.load(Ordering::Relaxed) && writer.send(&chunk).is_ok() {});
    Ok(())
}

fn probes_under_load(
    mut probe: Client,
    server: Process,
    probes: usize,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let (mut spent, mut took) = (Vec::new(), Vec::new());
    for number in 0..probes {
        thread::sleep(Duration::from_millis(20));
        let (before, since) = (server.cpu()?, Instant::now());
        probe.echo(number)?;
        spent.push((server.cpu()? - before) as f64 / 1e6);
        took.push(since.elapsed().as_secs_f64() * 1e3);
    }
    spent.sort_by(f64::total_cmp);
    took.sort_by(f64::total_cmp);
    let of = |sorted: &[f64]| {
        let at = |percent: usize| sorted.get((sorted.len() - 1) * percent / 100).copied();
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        json!({ "mean": mean, "median": at(50), "p90": at(90), "most": at(100) })
    };
    Ok(json!({ "cpu_ms": of(&spent), "ms": of(&took) }))
}

fn close_under_load(server: Process) -> Result<serde_json::Value, Box<dyn Error>> {
    let (before, since) = (server.cpu()?, Instant::now());
    let mut last = before;
    Command::new("kill").args(["-TERM", &server.0.to_string()]).status()?;
    // The CPU time of a zombie process is reported as 0.
    while let Ok(now) = server.cpu()
        && now > 0
    {
        last = now;
        if since.elapsed() > MAX_TERMINATION {
            return Err("the server does not terminate".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(json!({
        "cpu_ms": (last - before) as f64 / 1e6,
        "ms": since.elapsed().as_secs_f64() * 1e3,
    }))
}
