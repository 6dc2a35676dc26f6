//! `cargo xtask bench client`: compares our client with `rust_socketio` and Node's client, with the
//! same server in the same run.
//!
//! The server runs on one core, the client on the other. The figure is the client's CPU time per
//! echo.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde_json::Value;

use super::start;
use crate::workspace::Workspace;
use crate::{npm, process};

const CONNECTIONS: &str = "10";
const SECONDS: &str = "3";
/// Messages in flight on each connection.
const IN_FLIGHT: [&str; 2] = ["1", "16"];
const NAMES: [&str; 3] = ["this client", "rust_socketio", "Node"];

pub(super) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let rounds = match args {
        [] => 3,
        [flag, number] if flag == "--rounds" => number
            .parse()
            .ok()
            .filter(|rounds| *rounds > 0)
            .ok_or("--rounds takes a number of at least 1")?,
        _ => return Err("usage: cargo xtask bench client [--rounds N]".to_owned()),
    };
    let server = workspace.measured_rig("bench")?;
    let node = workspace.target("bench");
    npm::install_copy(&workspace.root.join("xtask/bench"), &node)?;
    let clients = [
        Command::new(workspace.measured_rig("client_bench")?),
        Command::new(rust_socketio(workspace)?),
        with_argument(Command::new("node"), node.join("client.mjs")),
    ];

    let mut table = String::from(
        "| in flight | client | CPU per echo, µs | ratio to rust_socketio | echoes per second |\n|---|---|---|---|---|\n",
    );
    for in_flight in IN_FLIGHT {
        let mut figures = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for (client, figures) in clients.iter().zip(&mut figures) {
                let mut server = Command::new(&server);
                server.env("RUNTIME", "current");
                let (_server, port) = start(&server)?;
                figures.push(measure(client, port, in_flight)?);
            }
        }
        let figures = figures.map(median);
        let peer = figures[1].cost.max(f64::MIN_POSITIVE);
        for (name, figure) in NAMES.iter().zip(&figures) {
            let wrong = match figure.wrong {
                0 => String::new(),
                wrong => format!(" ({wrong} lost or out of order)"),
            };
            let (cost, rate) = (figure.cost, figure.rate);
            let ratio = cost / peer;
            let row =
                format!("| {in_flight} | {name} | {cost:.2}{wrong} | {ratio:.2} | {rate:.0} |");
            println!("{row}");
            let _ = writeln!(table, "{row}");
        }
    }
    println!("\n{CONNECTIONS} connections, medians of {rounds}\n\n{table}");
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy, Default)]
struct Figure {
    cost: f64,
    rate: f64,
    wrong: u64,
}

fn measure(client: &Command, port: u16, in_flight: &str) -> Result<Figure, String> {
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(client.get_program()).args(client.get_args());
    command.args([&port.to_string(), CONNECTIONS, in_flight, SECONDS]);
    let text = process::output(&mut command)?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| format!("client: {error}: {text}"))?;
    let number = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or_default();
    Ok(Figure { cost: number("cpu_us"), rate: number("rate"), wrong: number("wrong") as u64 })
}

/// Builds the `rust_socketio` benchmark, which is not a member of the workspace, into a target
/// folder of its own.
fn rust_socketio(workspace: &Workspace) -> Result<PathBuf, String> {
    let target = workspace.target("bench-rust-socketio");
    let mut cargo = workspace.cargo();
    cargo.current_dir(workspace.root.join("xtask/bench/rust_socketio"));
    cargo.args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
    process::run_ok(&mut cargo)?;
    let file = format!("bench-rust-socketio{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join("release").join(file))
}

fn with_argument(mut command: Command, argument: PathBuf) -> Command {
    command.arg(argument);
    command
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|one, other| one.cost.total_cmp(&other.cost));
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
