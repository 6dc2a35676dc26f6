//! `cargo xtask bench million`: 10 000 to a million idle clients of one server, in steps.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cases::{PROGRAMS, Program, Role};
use super::chart::{self, Line};
use super::machine;
use super::measure::number;
use super::options::Options;
use super::programs::{Programs, generate, start};
use super::report::{fill, rounded, write};
use super::scale::grouped;
use crate::process::Background;
use crate::workspace::Workspace;

const STEPS: [usize; 4] = [10_000, 100_000, 300_000, 1_000_000];
/// Measured unless others are named.
const SERVERS: [&str; 3] = ["ours", "socketioxide", "node"];
const JSON: &str = "docs/guide/src/performance/million.json";
const CHART: &str = "docs/guide/src/performance/million.svg";
const GUIDE: &str = "docs/guide/src/performance.md";
/// Memory that stays free for the rest of the machine, in bytes.
const RESERVE: f64 = 1e9;
/// Files of each table of descriptors besides one per client.
const OTHER_FILES: usize = 1000;
/// Time limit of a step, in seconds.
const SECONDS: u32 = 1200;

#[derive(Deserialize, Serialize)]
struct Run {
    /// Date, machine and versions.
    run: String,
    steps: Vec<Step>,
    /// Why a server was not measured with more clients.
    ends: Vec<String>,
}

/// The output of the generator for one server and one number of clients.
#[derive(Deserialize, Serialize)]
struct Step {
    server: String,
    figures: Value,
}

pub(super) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode, String> {
    let mut run = match &options.from {
        Some(path) => Run::load(path)?,
        None => measure(workspace, options)?,
    };
    let documented = workspace.root.join(JSON);
    if options.write && documented.exists() {
        run = Run::load(&documented)?.with(run);
    }
    let json = serde_json::to_string_pretty(&run).map_err(|error| error.to_string())? + "\n";
    write(&workspace.target("bench/million.json"), &json)?;
    println!("\n{}", run.markdown());
    if options.write {
        write(&documented, &json)?;
        write(&workspace.root.join(CHART), &run.chart())?;
        let image = "![Memory per client, and CPU time for heartbeats, by the number of clients]";
        let text = format!("{image}(performance/million.svg)\n\n{}", run.markdown());
        fill(&workspace.root.join(GUIDE), "million", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(workspace: &Workspace, options: &Options) -> Result<Run, String> {
    let all = options.programs.len() + 1 == PROGRAMS.len();
    let servers: Vec<_> = options
        .programs
        .iter()
        .copied()
        .filter(|program| !all || SERVERS.contains(&program.name))
        .collect();
    let programs = Programs::build(workspace, &servers)?;
    let mut steps: Vec<_> = STEPS.into_iter().filter(|step| *step < options.clients).collect();
    steps.push(options.clients);
    let mut run = Run { run: machine::describe(workspace)?, steps: Vec::new(), ends: Vec::new() };
    for server in servers {
        let mut bytes_per_client = 0.0;
        for clients in &steps {
            let result =
                room(*clients, bytes_per_client).and_then(|()| step(&programs, server, *clients));
            let figures = match result {
                Ok(figures) => figures,
                Err(why) => {
                    run.end(server, *clients, &why);
                    break;
                }
            };
            bytes_per_client = ["/rss_per_client", "/kernel_per_client", "/generator_per_client"]
                .map(|pointer| number(&figures, pointer))
                .iter()
                .sum();
            let reached = number(&figures, "/clients") as usize;
            let why = figures.get("error").and_then(Value::as_str).map(str::to_owned);
            println!("{:<19} {figures}", server.name);
            run.steps.push(Step { server: server.name.to_owned(), figures });
            if reached < *clients {
                run.end(server, *clients, why.as_deref().unwrap_or("clients failed to connect"));
                break;
            }
        }
    }
    Ok(run)
}

/// Measures one server. If the limit of open files cannot be raised, the clients are spread over
/// several tables of descriptors: over threads of this project's server, over processes of another
/// server.
fn step(programs: &Programs, server: Program, clients: usize) -> Result<Value, String> {
    let files = most_files(clients + OTHER_FILES)?;
    let most = files.saturating_sub(OTHER_FILES).max(1);
    // The system spreads the connections over the threads by chance.
    let tables = if clients <= most { 1 } else { clients.div_ceil(most * 4 / 5) };
    let mut command = programs.server(server);
    let processes = if server.role == Role::Ours {
        command.env("TABLES", tables.to_string());
        1
    } else {
        tables
    };
    // The heap's limit of Node is 4 GB by default.
    command.env("NODE_OPTIONS", "--max-old-space-size=20000");
    let servers = (0..processes).map(|_| start(&command, files)).collect::<Result<Vec<_>, _>>()?;
    let list = |number: &dyn Fn(&(Background, u16)) -> String| {
        servers.iter().map(number).collect::<Vec<_>>().join(",")
    };
    let mut load = programs.rig("million");
    load.args([list(&|(_, port)| port.to_string()), list(&|(server, _)| server.id().to_string())]);
    load.arg(clients.to_string()).env("TABLES", tables.to_string());
    let mut figures = generate(&load, files, SECONDS)?;
    figures["tables"] = tables.into();
    Ok(figures)
}

/// The limit of open files for a process that wants this many: less if it cannot be raised.
fn most_files(wanted: usize) -> Result<usize, String> {
    let mut raise = Command::new("prlimit");
    let raised = raise.args([&format!("--nofile={wanted}"), "true"]).output();
    if raised.is_ok_and(|output| output.status.success()) {
        return Ok(wanted);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let hard = line.split_whitespace().nth(4).and_then(|limit| limit.parse().ok());
    let hard: usize = hard.unwrap_or_default();
    if hard < 2 * OTHER_FILES {
        return Err(format!("needs `ulimit -Hn {wanted}`, and at least {}", 2 * OTHER_FILES));
    }
    println!("open files are limited to {hard} per table of descriptors");
    Ok(hard)
}

/// Fails if the limits of the machine do not allow `clients` clients. The error says what to set.
fn room(clients: usize, bytes_per_client: f64) -> Result<(), String> {
    let files = (clients + OTHER_FILES) as f64;
    let limit = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().parse::<f64>().unwrap_or(f64::MAX)
    };
    if limit("/proc/sys/fs/file-max") < 2.0 * files {
        return Err(format!("needs `sysctl -w fs.file-max={}`", 3.0 * files));
    }
    if limit("/proc/sys/net/netfilter/nf_conntrack_count") > 0.0
        && limit("/proc/sys/net/netfilter/nf_conntrack_count") < f64::MAX
        && limit("/proc/sys/net/netfilter/nf_conntrack_max") < files
    {
        return Err(format!("needs `sysctl -w net.netfilter.nf_conntrack_max={}`", 2.0 * files));
    }
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("MemAvailable:")).unwrap_or_default();
    let kib: f64 =
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(f64::MAX);
    // Broadcasts and the ends of connections take more than idle clients.
    let needed = bytes_per_client * clients as f64 * 1.15 + RESERVE;
    if needed > kib * 1024.0 {
        return Err(format!(
            "needs about {:.0} GB of memory; {:.0} GB are available",
            needed / 1e9,
            kib * 1024.0 / 1e9
        ));
    }
    Ok(())
}

impl Run {
    fn load(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Replaces the figures of the servers that a newer run has measured.
    fn with(mut self, newer: Self) -> Self {
        let is_newer = |server: &str| newer.steps.iter().any(|step| step.server == server);
        self.steps.retain(|step| !is_newer(&step.server));
        // A title may begin with that of another server: "socketioxide, tuned".
        self.ends.retain(|end| {
            let named = PROGRAMS.iter().filter(|program| end.starts_with(program.title));
            let program = named.max_by_key(|program| program.title.len());
            !program.is_some_and(|program| is_newer(program.name))
        });
        if self.steps.is_empty() || self.run == newer.run {
            self.run = newer.run;
        } else {
            let mut titles: Vec<_> = newer.steps.iter().map(Self::title).collect();
            titles.dedup();
            self.run = format!("{}. {}: {}", self.run, titles.join(", "), newer.run);
        }
        self.steps.extend(newer.steps);
        self.ends.extend(newer.ends);
        let order = |step: &Step| PROGRAMS.iter().position(|it| it.name == step.server);
        self.steps.sort_by_key(order);
        self
    }

    fn end(&mut self, server: Program, clients: usize, why: &str) {
        let end = format!("{}, {} clients: {why}", server.title, grouped(clients));
        println!("{end}");
        self.ends.push(end);
    }

    fn title(step: &Step) -> &'static str {
        let program = PROGRAMS.iter().find(|program| program.name == step.server);
        program.map_or("?", |program| program.title)
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "{}.\n\n| server | clients / processes / descriptor tables | lost | server's memory per client, bytes | kernel's memory per client (both ends), bytes | \
             memory of the server with all clients / after they left, MiB | all connect, s / CPU per client, µs | \
             heartbeats, % of a core |\n|---|---|---|---|---|---|---|---|\n",
            self.run
        );
        for step in &self.steps {
            let figure = |pointer: &str| number(&step.figures, pointer);
            let _ = writeln!(
                text,
                "| {} | {} / {} / {} | {} | {:.0} | {:.0} | {:.0} / {:.0} | {} / {} | {} |",
                Self::title(step),
                grouped(figure("/clients") as usize),
                figure("/processes"),
                figure("/tables"),
                figure("/lost"),
                figure("/rss_per_client"),
                figure("/kernel_per_client"),
                figure("/rss_mib"),
                figure("/rss_after_mib"),
                rounded(figure("/connect_seconds")),
                rounded(figure("/connect_cpu_us")),
                rounded(figure("/heartbeat_cpu_percent")),
            );
        }
        text += "\n| server | clients | broadcast to all: s | MB/s | p99, ms | CPU per delivery, µs | missing | \
                 all join 10 000 rooms, s / CPU per client, µs | all leave at once, s / CPU per client, µs |\n\
                 |---|---|---|---|---|---|---|---|---|\n";
        for step in &self.steps {
            let figure = |pointer: &str| number(&step.figures, pointer);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} / {} | {} / {} |",
                Self::title(step),
                grouped(figure("/clients") as usize),
                rounded(figure("/broadcast/seconds")),
                rounded(figure("/broadcast/mb_per_second")),
                rounded(figure("/broadcast/p99_ms")),
                rounded(figure("/broadcast/cpu_us")),
                figure("/broadcast/missing") + figure("/join/missing"),
                rounded(figure("/join/seconds")),
                rounded(figure("/join/cpu_us")),
                rounded(figure("/leave_seconds")),
                rounded(figure("/leave_cpu_us")),
            );
        }
        for step in &self.steps {
            let seconds = number(&step.figures, "/pressure_seconds");
            if seconds > 0.0 {
                let clients = grouped(number(&step.figures, "/clients") as usize);
                let _ = writeln!(
                    text,
                    "\nThe kernel was short of memory for TCP (`net.ipv4.tcp_mem`) for {} s: {}, {clients} clients.",
                    rounded(seconds),
                    Self::title(step),
                );
            }
        }
        if !self.ends.is_empty() {
            text += "\nThe steps ended for these reasons:\n\n";
        }
        for end in &self.ends {
            let _ = writeln!(text, "- {end}");
        }
        text
    }

    fn chart(&self) -> String {
        let lines = |pointer: &str, unit: f64| {
            let of = |program: &Program| {
                let steps = self.steps.iter().filter(|step| step.server == program.name);
                let figure = |step: &Step, pointer| number(&step.figures, pointer);
                let points =
                    steps.map(|step| (figure(step, "/clients"), figure(step, pointer) / unit));
                Line { title: program.title, points: points.collect() }
            };
            let all = PROGRAMS.iter().map(of);
            all.filter(|line: &Line| !line.points.is_empty()).take(3).collect::<Vec<_>>()
        };
        chart::plots(
            "Idle clients of one server on one core",
            [
                ("memory of the server per client, KB", lines("/rss_per_client", 1e3)),
                ("CPU for heartbeats, % of a core", lines("/heartbeat_cpu_percent", 1.0)),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_shows_each_step_and_the_reason_of_the_last() {
        let figures = json!({
            "clients": 100_000, "processes": 1, "tables": 7, "rss_per_client": 4000.4, "heartbeat_cpu_percent": 1.5,
            "broadcast": { "p99_ms": 250.0 }, "pressure_seconds": 12.0,
        });
        let mut run = Run { run: "one day".to_owned(), steps: Vec::new(), ends: Vec::new() };
        run.steps.push(Step { server: "ours".to_owned(), figures });
        run.end(PROGRAMS[0], 1_000_000, "no memory");
        let text = run.markdown();
        assert!(text.contains("| this project | 100 000 / 1 / 7 | 0 | 4000 |"), "{text}");
        assert!(text.contains("- this project, 1 000 000 clients: no memory"), "{text}");
        assert!(text.contains("for 12.0 s: this project, 100 000 clients"), "{text}");
        assert!(run.chart().contains("100 k"), "{}", run.chart());
    }

    #[test]
    fn a_run_replaces_the_figures_of_its_servers_only() {
        let run = |run: &str, server: &str, clients: u64| Run {
            run: run.to_owned(),
            steps: vec![Step { server: server.to_owned(), figures: json!({ "clients": clients }) }],
            ends: Vec::new(),
        };
        let mut before = run("one day", "node", 1000).with(run("one day", "ours", 2000));
        let find = |name: &str| PROGRAMS.into_iter().find(|it| it.name == name).unwrap();
        before.end(find("socketioxide-tuned"), 9, "no memory");
        before.end(find("node"), 8, "no memory");

        let after = before.with(run("next day", "node", 3000));
        let text = after.markdown();
        let row = |title: &str, clients| format!("| {title} | {} /", grouped(clients));
        assert!(text.contains(&row("this project", 2000)), "{text}");
        assert!(text.contains(&row("Node", 3000)), "{text}");
        assert!(!text.contains(&row("Node", 1000)) && !text.contains("Node, 8 clients"), "{text}");
        assert!(text.contains("tuned, 9 clients: no memory"), "{text}");
        assert!(text.starts_with("one day. Node: next day.\n"), "{text}");
    }

    #[test]
    fn a_step_that_needs_more_memory_than_there_is_fails() {
        let error = room(1000, 1e12).unwrap_err();
        assert!(error.contains("GB of memory"), "{error}");
    }
}
