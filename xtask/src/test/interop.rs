//! The suites of foreign clients against our servers, and of our client against foreign servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::counts;
use super::install;
use super::outcome::Outcome;
use super::python;
use super::suites::libtest;
use crate::workspace::Workspace;
use crate::{npm, process};

pub(super) fn node(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let mut node = Command::new("node");
    for (variable, rig) in [
        ("CONFORMANCE_SERVER", "conformance"),
        ("FEATURES_SERVER", "features"),
        ("RECOVERY_SERVER", "recovery"),
        ("RECEIVERS", "receivers"),
        ("RELIABLE_SERVER", "reliable"),
        ("PEER_SERVER", "peer"),
    ] {
        node.env(variable, programs.bin(rig));
    }
    node.env("EXAMPLES", programs.examples()).env("FRAMEWORKS", workspace.frameworks()?);
    node.env("EXAMPLES_SOURCE", workspace.root.join("socketio-server/examples"));
    node.env("TLS_SERVER", programs.example("tls"));
    node.env("CONTRACT_PRINTER", programs.example("contract"));
    node.env("ADMIN_SERVER", programs.example("admin"));
    node.env("GUIDE", workspace.root.join("docs/guide"));
    node.env("PORTED_CHAT", programs.example("ported_chat"));
    node.env("NGINX_SERVER", installed("nginx")?);
    node.env("OBSERVABILITY", workspace.root.join("socketio-server/examples/observability"));
    node.env("METRICS_SERVER", programs.bin("prometheus"));
    node.env("TRACES_SERVER", programs.bin("opentelemetry"));
    node.env("PROMETHEUS", installed("prometheus")?);
    run(&folder, "node", &node)
}

/// Runs our client's tests against Node's servers and against ours, and compares our parsers with
/// Node's.
pub(super) fn client(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let test = |name: &str| {
        let mut cargo = workspace.cargo();
        cargo.env("PEER_PACKAGES", &folder).args(["test", "--workspace", "--all-features"]);
        cargo.args(["--test", name]);
        cargo
    };
    let mut cargo = test("node");
    cargo.env("PEER_SERVER", programs.bin("peer")).env("SIOCAT", programs.example("siocat"));
    // The tests share servers, so they run in one process.
    let mut outcome = libtest(cargo.args(["--", "--test-threads", "4"]))?;
    outcome.add(libtest(test("behaviour").args(["fuzz_node::", "--", "--ignored"]))?);
    Ok(outcome)
}

pub(super) fn browser(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let browsers = install::browsers()?;
    let programs = workspace.programs()?;
    let artifacts = workspace.root.join("artifacts");
    fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let mut node = Command::new("node");
    node.env("CHAT_SERVER", programs.bin("chat"));
    node.env("CONFORMANCE_SERVER", programs.bin("conformance"));
    node.env("ADMIN_SERVER", programs.example("admin"));
    node.envs(browsers).env("ARTIFACTS", artifacts);
    run(&folder, "browser", &node)
}

/// Runs our nodes and Node's in one cluster, on real engines.
pub(super) fn cluster(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", programs.bin("cluster")).env("ENGINES", programs.bin("engines"));
    node.env("RECEIVERS", programs.bin("receivers"));
    node.env("EMIT", programs.example("emit")).env("ORDERS", programs.example("orders"));
    node.env("SCALED_CHAT", workspace.root.join("adapters/emitter/examples/scaled_chat"));
    node.env("SCALED_CHAT_PROGRAM", programs.example("scaled_chat"));
    node.env("RELEASES", older_releases(workspace)?);
    node.env("SECANTUSD", python::secantusdb(workspace)?);
    for proxy in ["nginx", "haproxy", "caddy"] {
        node.env(format!("{}_SERVER", proxy.to_uppercase()), installed(proxy)?);
    }
    run(&folder, "cluster", &node)
}

/// Installs the older releases of Node's packages, each into a folder of its own because their dependencies exclude each other.
fn older_releases(workspace: &Workspace) -> Result<PathBuf, String> {
    let (from, to) = (workspace.root.join("interop/releases"), workspace.target("releases"));
    let entries = fs::read_dir(&from).map_err(|error| format!("{}: {error}", from.display()))?;
    for release in entries.flatten() {
        npm::install_copy(&release.path(), &to.join(release.file_name()))?;
    }
    Ok(to)
}

/// The maximum number of test files that run at the same time. Most tests wait for timers and
/// other processes.
const PARALLEL: usize = 4;

/// The longest time for a test file. A file whose set-up fails may leave a server running, which keeps
/// its process from ending.
const FILE_LIMIT: Duration = Duration::from_secs(600);

/// Runs all test files of one folder and adds up their reports.
///
/// Each file is a process of its own. Under `node --test`, the files would report to a common
/// process in a binary format over stdout, which that process sometimes cannot read: it then fails
/// a file whose tests have all passed.
fn run(folder: &Path, name: &str, node: &Command) -> Result<Outcome, String> {
    let files = Mutex::new(test_files(&folder.join(name))?.into_iter());
    let next = || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut outcome = Outcome::default();
        while let Some(file) = next() {
            outcome.add(run_file(folder, &file, node)?);
        }
        Ok(outcome)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        let mut outcome = Outcome::default();
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|_| Err("a worker panicked".to_owned()));
            outcome.add(ended?);
        }
        Ok(outcome)
    })
}

/// Runs one test file with the environment of `node`. Prints its output in one piece.
fn run_file(folder: &Path, file: &Path, node: &Command) -> Result<Outcome, String> {
    let report = file.with_extension("tap");
    // Removes the previous report, which must not be taken for this run's.
    let _ = fs::remove_file(&report);
    let mut command = Command::new(node.get_program());
    command.current_dir(folder);
    command.envs(node.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--import", "./lib/console.mjs", "--test-reporter=spec"]);
    command.args(["--test-reporter-destination=stdout", "--test-reporter=tap"]);
    command.arg(format!("--test-reporter-destination={}", report.display())).arg(file);
    let mut output = String::new();
    let status = process::run_lines_within(&mut command, FILE_LIMIT, |line| {
        output.push_str(line);
        output.push('\n');
    })?;
    let name = file.strip_prefix(folder).unwrap_or(file).display();
    println!("\n{name}\n{output}");
    let report = fs::read_to_string(&report).unwrap_or_default();
    let how = status.map_or_else(
        || format!("was stopped after {} s", FILE_LIMIT.as_secs()),
        |status| format!("failed outside its tests ({status})"),
    );
    let otherwise = format!("{name} {how}; its output is above");
    Ok(counts::tap(&report, status.is_some_and(|it| it.success()), &otherwise))
}

fn prepare(workspace: &Workspace) -> Result<PathBuf, String> {
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    Ok(folder)
}

fn test_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        paths.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect();
    files.sort();
    Ok(files)
}

fn installed(name: &str) -> Result<PathBuf, String> {
    install::find(name).ok_or_else(|| format!("install your system's package `{name}`"))
}
