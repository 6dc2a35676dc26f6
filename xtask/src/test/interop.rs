//! The suites of foreign clients against our servers, and of our client against foreign servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    run(3, &folder, "node", &mut node)
}

/// Runs our client's tests against Node's servers and against ours.
pub(super) fn client(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let mut cargo = workspace.cargo();
    cargo.env("PEER_PACKAGES", folder).env("PEER_SERVER", programs.bin("peer"));
    cargo.env("SIOCAT", programs.example("siocat"));
    // The tests share servers, so they run in one process.
    cargo.args(["test", "--workspace", "--all-features", "--test", "node"]);
    libtest(cargo.args(["--", "--test-threads", "4"]))
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
    run(3, &folder, "browser", &mut node)
}

/// Runs our nodes and Node's in one cluster, on real engines.
pub(super) fn cluster(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", programs.bin("cluster")).env("ENGINES", programs.bin("engines"));
    node.env("EMIT", programs.example("emit")).env("ORDERS", programs.example("orders"));
    node.env("SCALED_CHAT", workspace.root.join("adapters/emitter/examples/scaled_chat"));
    node.env("SCALED_CHAT_PROGRAM", programs.example("scaled_chat"));
    node.env("RELEASES", older_releases(workspace)?);
    node.env("SECANTUSD", python::secantusdb(workspace)?);
    for proxy in ["nginx", "haproxy", "caddy"] {
        node.env(format!("{}_SERVER", proxy.to_uppercase()), installed(proxy)?);
    }
    run(3, &folder, "cluster", &mut node)
}

/// Replaces nodes one by one under traffic and prints what clients lost.
pub(super) fn rehearse(workspace: &Workspace, args: &[String]) -> Result<bool, String> {
    let folder = prepare(workspace)?;
    let programs = workspace.programs()?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", programs.bin("cluster")).env("ENGINES", programs.bin("engines"));
    node.env("RECOVERY_SERVER", programs.bin("recovery"));
    node.current_dir(&folder).arg(folder.join("cluster/rehearse.mjs")).args(args);
    Ok(process::run(&mut node)?.success())
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

/// Runs all test files of one folder and counts the results in their report. Most tests wait for
/// timers and other processes, so that several files can run in parallel.
fn run(parallel: usize, folder: &Path, name: &str, node: &mut Command) -> Result<Outcome, String> {
    let report = folder.join(format!("{name}.tap"));
    // Removes the previous report, which must not be taken for this run's.
    let _ = fs::remove_file(&report);
    node.current_dir(folder).args(["--test", "--test-reporter=spec"]);
    node.args(["--import", "./lib/console.mjs"]);
    node.arg(format!("--test-concurrency={parallel}"));
    node.args(["--test-reporter-destination=stdout", "--test-reporter=tap"]);
    node.arg(format!("--test-reporter-destination={}", report.display()))
        .args(test_files(&folder.join(name))?);
    let status = process::run(node)?;
    let report = fs::read_to_string(&report).unwrap_or_default();
    Ok(counts::tap(
        &report,
        status.success(),
        "`node --test` failed outside the tests; its message is above",
    ))
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
