//! The tests of Python's clients against our servers, and an engine that is a package of Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::counts;
use super::outcome::Outcome;
use crate::process;
use crate::workspace::Workspace;

const MISSING: &str = "needs Python 3.11 or newer with venv: install your system's `python3` and `python3-venv` packages";

pub(super) fn python(workspace: &Workspace) -> Result<Outcome, String> {
    let tests = workspace.root.join("interop/python");
    let python = environment(workspace)?;
    let server = workspace.programs()?.bin("conformance");
    let report = workspace.target("python/report.tap");
    // Removes the previous report, which must not be taken for this run's.
    let _ = fs::remove_file(&report);
    let mut command = Command::new(python);
    command.env("CONFORMANCE_SERVER", server).env("PYTHONDONTWRITEBYTECODE", "1");
    let status = process::run(command.arg(tests.join("run.py")).arg(&report))?;
    let report = fs::read_to_string(&report).unwrap_or_default();
    Ok(counts::tap(
        &report,
        status.success(),
        "Python failed outside the tests; its message is above",
    ))
}

/// The program of SecantusDB, which takes MongoDB's place. Installs it below the target folder if it
/// is missing.
pub(crate) fn secantusdb(workspace: &Workspace) -> Result<PathBuf, String> {
    let requirements = workspace.root.join("xtask/engines/requirements.txt");
    let python = install(&workspace.target("secantusdb"), &requirements)?;
    Ok(python.with_file_name("secantusd-py"))
}

/// The interpreter with the clients.
pub(crate) fn environment(workspace: &Workspace) -> Result<PathBuf, String> {
    install(&workspace.target("python"), &workspace.root.join("interop/python/requirements.txt"))
}

/// The interpreter of a virtual environment with the pinned packages, below the target folder.
/// Creates it if needed.
fn install(folder: &Path, requirements: &Path) -> Result<PathBuf, String> {
    let python = folder.join("bin/python");
    let wanted = fs::read(requirements).map_err(|error| format!("requirements.txt: {error}"))?;
    let stamp = folder.join("requirements.txt");
    if python.exists() && fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut recent = Command::new("python3");
    recent.args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
    process::output(&mut recent).map_err(|_| MISSING.to_owned())?;
    let mut venv = Command::new("python3");
    process::output(venv.args(["-m", "venv"]).arg(folder)).map_err(|_| MISSING.to_owned())?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]);
    process::run_ok(pip.arg(requirements))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}
