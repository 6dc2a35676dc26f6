//! The check with the lowest dependency versions that the manifests allow.

use std::fs;
use std::process::Command;

use super::outcome::Outcome;
use crate::npm::copy;
use crate::process;
use crate::workspace::Workspace;

/// Checks libraries and examples in a copy whose lock file names the lowest versions. Creating the
/// lock file needs a nightly cargo; the check itself uses the ordinary compiler.
pub(super) fn minimal(workspace: &Workspace) -> Result<Outcome, String> {
    let nightly = || {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]);
        command
    };
    if process::output(nightly().arg("--version")).is_err() {
        return Ok(Outcome::not_run(
            "the nightly toolchain is missing (rustup toolchain install nightly)",
        ));
    }
    let folder = workspace.target("minimal");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    for member in workspace.members() {
        copy(&workspace.root.join(&member), &folder.join(&member))?;
    }
    fs::copy(workspace.root.join("Cargo.toml"), folder.join("Cargo.toml")).map_err(failed)?;
    process::run_ok(nightly().current_dir(&folder).args([
        "-Zdirect-minimal-versions",
        "generate-lockfile",
        "--quiet",
    ]))?;
    let mut check = workspace.cargo();
    check.current_dir(&folder).env("CARGO_TARGET_DIR", workspace.target("minimal-build"));
    process::run_ok(check.args(["check", "--workspace", "--lib", "--bins", "--examples"]))?;
    Ok(Outcome::good())
}
