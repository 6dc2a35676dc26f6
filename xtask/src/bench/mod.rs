//! `cargo xtask bench`: compares this project's server and client with others, under the same load in
//! the same run.
//!
//! The server runs on one core, the load generator on the other. The figure is CPU time per message
//! or delivery. Only ratios within one run are meaningful.

mod cases;
pub(crate) mod chart;
mod machine;
mod measure;
mod million;
mod options;
mod programs;
mod report;
mod scale;

use std::process::{Command, ExitCode};

pub(crate) use self::options::select;

use self::options::Options;
use self::programs::Programs;
use self::report::Report;
use crate::npm;
use crate::process;
use crate::workspace::Workspace;

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("cluster", args)) => cluster(workspace, args),
        Some(("recovery", args)) => recovery(workspace, args),
        Some(("scale", args)) => scale::main(workspace, &Options::read(args)?),
        Some(("million", args)) => million::main(workspace, &Options::read(args)?),
        _ => table(workspace, &Options::read(args)?),
    }
}

fn table(workspace: &Workspace, options: &Options) -> Result<ExitCode, String> {
    let report = match &options.from {
        Some(path) => Report::load(path)?,
        None => {
            if options.quick && options.write {
                return Err("the figures of --quick are not for documents".to_owned());
            }
            let programs = Programs::build(workspace, &options.programs)?;
            let mut report = Report::new(machine::describe(workspace)?, options.rounds);
            for case in &options.cases {
                let figures = measure::case(&programs, case, options);
                println!("{}", report.add(case, figures));
            }
            report.save(&workspace.target("bench/table.json"))?;
            report
        }
    };
    println!("\n{}", report.markdown());
    let is_clean = report.is_clean();
    if options.write {
        report.write(&workspace.root)?;
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cargo xtask bench cluster`: compares broadcasts between two of our nodes with broadcasts between
/// two of Node's, on each engine in the same run.
fn cluster(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    nodes(workspace, "bench/cluster.mjs", &[Options::read(args)?.rounds.to_string()])
}

/// `cargo xtask bench recovery`: counts what connection state recovery costs a node and its engine.
fn recovery(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    const ENGINES: [&str; 4] = ["memory", "redis-streams", "postgres-log", "nats"];
    let known = ENGINES.map(|name| (name, name));
    let check = |name: &String| select("engine", name, &known).map_err(|error| error.to_string());
    args.iter().try_for_each(|name| check(name).map(drop))?;
    if !process::exists("valgrind") {
        return Err("needs valgrind".to_owned());
    }
    nodes(workspace, "bench/recovery.mjs", args)
}

/// Runs a script of `interop/` that measures the `cluster` rig.
fn nodes(workspace: &Workspace, script: &str, args: &[String]) -> Result<ExitCode, String> {
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", workspace.measured_rig("cluster")?);
    node.env("ENGINES", workspace.test_programs(&["engines"])?.bin("engines"));
    process::run_ok(node.current_dir(&folder).arg(script).args(args))?;
    Ok(ExitCode::SUCCESS)
}
