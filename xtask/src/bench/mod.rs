//! `cargo xtask bench`: compares the bench server with Node's, under the same load in the same run.
//!
//! The server runs on one core, the load generator on the other. The figure is the server's CPU
//! time per message or delivery. Only ratios within one run are meaningful.

mod client;

use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::npm;
use crate::process::{self, Background};
use crate::workspace::Workspace;

const SCENARIOS: [&str; 15] = [
    "echo1",
    "echo16",
    "burst16",
    "ack1",
    "ack16",
    "binary64k",
    "cast64x1",
    "cast64x8",
    "cast1kx1",
    "cast1kx8",
    "rooms64x1",
    "rooms64x8",
    "polling",
    "connect",
    "idle",
];

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("client", args)) => return client::main(workspace, args),
        Some(("cluster", args)) => return cluster(workspace, args),
        _ => {}
    }
    let (rounds, scenarios) = options(args)?;
    let ours = workspace.measured_rig("bench")?;
    let load = workspace.measured_rig("load")?;
    let node = workspace.target("bench");
    npm::install_copy(&workspace.root.join("xtask/bench"), &node)?;
    if !process::exists("taskset") {
        return Err("needs taskset (package util-linux)".to_owned());
    }

    let mut table = String::from(
        "| scenario | this server | Node | ratio | p50 / p99 here | p50 / p99 Node |\n|---|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let mut server = Command::new(&ours);
            server.env("RUNTIME", "current");
            figures[0].push(measure(&server, &load, scenario)?);
            let mut server = Command::new("node");
            server.arg(node.join("server.mjs"));
            figures[1].push(measure(&server, &load, scenario)?);
        }
        let [ours, node] = figures.map(median);
        let _ = writeln!(table, "{}", row(scenario, &ours, &node));
        println!("{}", row(scenario, &ours, &node));
    }
    println!(
        "\nserver CPU time in µs per message or delivery (idle: KiB per connection), medians of {rounds}; latencies in µs\n\n{table}"
    );
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask bench cluster`: compares broadcasts between two of our nodes with broadcasts between
/// two of Node's, on each engine in the same run.
fn cluster(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let rounds = match args {
        [] => "3",
        [flag, number] if flag == "--rounds" && number.parse::<u32>().is_ok_and(|it| it > 0) => {
            number
        }
        _ => return Err("usage: cargo xtask bench cluster [--rounds N]".to_owned()),
    };
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", workspace.measured_rig("cluster")?);
    node.env("ENGINES", workspace.programs()?.bin("engines"));
    process::run_ok(node.current_dir(&folder).args(["bench/cluster.mjs", rounds]))?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a server on the first core. Returns its port too.
fn start(server: &Command) -> Result<(Background, u16), String> {
    let port = process::free_port()?;
    // Many simultaneous connections need many file descriptors.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 20000; exec taskset -c 0 \"$@\"", "sh"]);
    command.arg(server.get_program()).args(server.get_args());
    command.envs(server.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("PORT", port.to_string());
    Ok((Background::start(&mut command, "LISTENING")?, port))
}

fn options(args: &[String]) -> Result<(usize, Vec<&str>), String> {
    let (mut rounds, mut scenarios) = (3, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--rounds" {
            let value =
                args.next().and_then(|value| value.parse().ok()).filter(|rounds| *rounds > 0);
            rounds = value.ok_or("--rounds takes a number of at least 1")?;
        } else if SCENARIOS.contains(&arg.as_str()) {
            scenarios.push(arg.as_str());
        } else {
            return Err(format!(
                "unknown scenario `{arg}`; the scenarios are: {}",
                SCENARIOS.join(" ")
            ));
        }
    }
    if scenarios.is_empty() {
        scenarios.extend(SCENARIOS);
    }
    Ok((rounds, scenarios))
}

/// The figures of one server under one load.
#[derive(Clone, Copy)]
struct Figure {
    cost: f64,
    p50: u64,
    p99: u64,
    wrong: u64,
}

fn measure(server: &Command, load: &std::path::Path, scenario: &str) -> Result<Figure, String> {
    let (server, port) = start(server)?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 20000; exec taskset -c 1 \"$@\"", "sh"]);
    command.arg(load).args([port.to_string(), server.id().to_string(), scenario.to_owned()]);
    let text = process::output(&mut command)?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| format!("load: {error}: {text}"))?;
    let number = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or_default();
    let cost =
        if scenario == "idle" { number("kib_per_connection") } else { number("us_per_unit") };
    Ok(Figure {
        cost,
        p50: number("p50_us") as u64,
        p99: number("p99_us") as u64,
        wrong: number("lost_or_disordered") as u64,
    })
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|one, other| one.cost.total_cmp(&other.cost));
    figures.get(figures.len() / 2).copied().unwrap_or(Figure {
        cost: 0.0,
        p50: 0,
        p99: 0,
        wrong: 0,
    })
}

fn row(scenario: &str, ours: &Figure, node: &Figure) -> String {
    let ratio = ours.cost / node.cost.max(f64::MIN_POSITIVE);
    let wrong = match ours.wrong {
        0 => String::new(),
        wrong => format!(" ({wrong} lost or out of order)"),
    };
    format!(
        "| {scenario} | {:.2}{wrong} | {:.2} | {ratio:.2} | {} / {} | {} / {} |",
        ours.cost, node.cost, ours.p50, ours.p99, node.p50, node.p99
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_an_unknown_scenario_names_it() {
        let error = options(&["nonsense".to_owned()]).unwrap_err();
        assert!(error.contains("`nonsense`") && error.contains("echo1"), "{error}");
        assert!(options(&["--rounds".to_owned(), "0".to_owned()]).is_err());
        let args = ["--rounds", "1", "echo1"].map(str::to_owned);
        assert_eq!(options(&args).unwrap(), (1, vec!["echo1"]));
    }
}
