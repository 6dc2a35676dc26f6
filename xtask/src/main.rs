//! `cargo xtask`: builds, checks, demonstrates and tests the workspace. The product never depends
//! on it.

mod api;
mod bench;
mod demo;
mod fuzz;
mod golden;
mod models;
mod npm;
mod process;
mod rehearse;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

/// The usage text, which is also the list of commands and suites that documents are checked against.
const USAGE: &str = "\
usage: cargo xtask <command>

  test [--quick] [suite…]      run all checks and tests; --quick skips docs, other builds and interop
                               suites: fmt clippy features tidy engines tests models docs api deny readme wasm minimal rigs node client cluster python soak browser
  demo [--port N] [--nodes N]  build the chat example and serve it (port 3000 if it is free; 0 = any)
  tidy                         check the invariants of ARCHITECTURE.md
  api [--update]               compare the public items of the crates with the lists in xtask/api
  bench [--quick] [--rounds N] [--cases A,B] [--servers A,B] [--write] [--from FILE]
                               compare our server and client with others, in 12 minutes; --write puts
                               the tables and the chart into the documents
  bench million [--clients N] [--servers A,B] [--write] [--from FILE]
                               10 000 to a million clients of one server, in steps
  bench scale [--write]        count instructions at growing numbers of clients, rooms and namespaces
  bench cluster [--rounds N]   compare broadcasts between our nodes with those between Node's, on each engine
  bench recovery [ENGINE…]     count commands to the engine and instructions with connection state recovery
                               off, on and crash-safe (memory, redis-streams, postgres-log, nats)
  rehearse [ENGINE…]           replace nodes under traffic, ours and Node's, and print what clients lost;
                               --help lists its options
  sim [--seeds N] [--from S] [--seed S]
                               run N simulated worlds (default 1000), or one and print its trace
  models [--iterations N]      run the models of threads under shuttle, in 2 N orders each (default 100000)
  hostile [--seconds N] [--good N] [behavior…]
                               attack our server and Node's, and print what that costs them and their good clients
  soak [--minutes N | --hours N]
                               send waves of misbehaving clients, and plot what the server uses
  golden                       regenerate the golden vectors with the Node packages
  fuzz [--seconds N | --minutes N | --hours N] [--keep] [target]
                               fuzz decoders, servers and clients, one minute per suite by default; --keep puts
                               the inputs that libFuzzer found into the source tree";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode, String> {
    let Some((command, args)) = args.split_first() else {
        return Err(format!("a command is missing\n{USAGE}"));
    };
    // `rehearse` has a help of its own.
    if command != "rehearse" && args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    process::stop_children_on_signals()?;
    let workspace = Workspace::find()?;
    match command.as_str() {
        "test" => test::main(&workspace, args),
        "demo" => demo::main(&workspace, args),
        "tidy" => tidy::main(&workspace, args),
        "api" => api::main(&workspace, args),
        "bench" => bench::main(&workspace, args),
        "rehearse" => rehearse::main(&workspace, args),
        "sim" => process::run_ok(
            workspace.cargo().args(["run", "--release", "-p", "sim", "--quiet", "--"]).args(args),
        )
        .map(|()| ExitCode::SUCCESS),
        "models" => models::main(&workspace, args),
        "hostile" => soak::hostile(&workspace, args),
        "soak" => soak::main(&workspace, args),
        "golden" => golden::main(&workspace, args),
        "fuzz" => fuzz::main(&workspace, args),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("unknown command `{other}`\n{USAGE}")),
    }
}

/// The commands of `cargo xtask`.
pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
    let starts = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
    USAGE.lines().filter(move |line| starts(line)).filter_map(|line| line.split_whitespace().next())
}

/// The suites of `cargo xtask test`.
pub(crate) fn suites() -> impl Iterator<Item = &'static str> {
    USAGE
        .split_once("suites:")
        .map_or("", |(_, rest)| rest.lines().next().unwrap_or_default())
        .split_whitespace()
}
