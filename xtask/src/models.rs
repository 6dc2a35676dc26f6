//! `cargo xtask models`: runs the models of threads under shuttle.

use std::process::{Command, ExitCode};

use lexopt::{Arg, ValueExt};

use crate::process;
use crate::workspace::Workspace;

/// The packages with a module `models`.
const PACKAGES: [&str; 2] = ["engineio-server", "socketio-server"];

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let mut iterations = 100_000;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Long("iterations") => {
                let value = parser.value().and_then(|value| value.parse());
                iterations = value.map_err(|error| error.to_string())?;
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    for program in programs(workspace, iterations)? {
        process::run_ok(&mut { program })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the test programs with shuttle's locks. Returns commands that run their models, in twice
/// as many orders of threads each as `iterations` says.
pub(crate) fn programs(workspace: &Workspace, iterations: u64) -> Result<Vec<Command>, String> {
    PACKAGES.map(|package| program(workspace, package, iterations)).into_iter().collect()
}

fn program(workspace: &Workspace, package: &str, iterations: u64) -> Result<Command, String> {
    let mut cargo = workspace.cargo();
    // Arguments after `--` reach only this package, so that dependencies are not built again.
    cargo.args(["rustc", "--quiet", "-p", package, "--lib", "--profile", "test", "--all-features"]);
    cargo.args(["--message-format", "json-render-diagnostics", "--", "--cfg", "shuttle"]);
    let messages = process::output(&mut cargo)?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(String::from)
    });
    let mut program = Command::new(executable.ok_or("cargo has built no test program")?);
    program.arg("models::").env("SHUTTLE_ITERATIONS", iterations.to_string());
    Ok(program)
}
