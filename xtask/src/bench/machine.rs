//! The machine, the date and the versions of the programs of a run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{npm, process};

/// One line that describes the run.
pub(super) fn describe(workspace: &Workspace) -> Result<String, String> {
    let output = |program: &str, args: &[&str]| {
        process::output(Command::new(program).args(args)).map(|text| text.trim().to_owned())
    };
    let date = output("date", &["-u", "+%Y-%m-%d"])?;
    let kernel = output("uname", &["-sr"])?;
    // The name of a build says nothing about the figures.
    let kernel = kernel.split('-').next().unwrap_or_default();
    let rustc = output("rustc", &["--version"])?;
    let rustc = rustc.split(' ').nth(1).unwrap_or_default();
    let node = output("node", &["--version"])?;
    let processor = word_after("/proc/cpuinfo", "model name")?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = word_after("/proc/meminfo", "MemTotal")?
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default();
    let gib = memory.div_ceil(1024 * 1024);
    let peers = locked(&workspace.root.join("interop/bench/peers/Cargo.lock"))?;
    let socketio = npm::pinned(workspace, "socket.io")?;
    Ok(format!(
        "{date}, {processor} ({cores} cores, {gib} GiB), {kernel}; Rust {rustc}, {peers}, \
         Node {node} with socket.io {socketio} and its client"
    ))
}

fn word_after(path: &str, name: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    Ok(line.split_once(':').map_or("", |(_, value)| value).trim().to_owned())
}

/// The versions of the peers in their lock file.
fn locked(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let version = |name: &str| {
        let rest = text.split_once(&format!("name = \"{name}\"\nversion = \"")).map(|(_, it)| it);
        let version = rest.and_then(|rest| rest.split('"').next()).unwrap_or("?");
        format!("{name} {version}")
    };
    Ok(["tokio", "socketioxide", "rust_socketio"].map(version).join(", "))
}
