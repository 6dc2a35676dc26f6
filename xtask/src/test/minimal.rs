//! The checks with the lowest versions that the manifests allow: of the dependencies and of the compiler.

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

/// Checks libraries, programs and examples with the compiler that `rust-version` names.
pub(super) fn msrv(workspace: &Workspace) -> Result<Outcome, String> {
    let manifest = workspace.root.join("Cargo.toml");
    let manifest = fs::read_to_string(&manifest).map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let version = version.ok_or("Cargo.toml names no rust-version")?.trim_end_matches('"');
    let cargo = |toolchain: &str| {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, "cargo"]).current_dir(&workspace.root);
        // The variables of this tool's own toolchain would take precedence.
        command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    // A toolchain has the name by which it was installed.
    let names = [version.to_owned(), format!("{version}.0")];
    let is_installed = |name: &&String| process::output(cargo(name).arg("--version")).is_ok();
    let Some(toolchain) = names.iter().find(is_installed) else {
        return Ok(Outcome::not_run(&format!(
            "Rust {version} is missing (rustup toolchain install {version})"
        )));
    };
    let mut check = cargo(toolchain);
    check.env("CARGO_TARGET_DIR", workspace.target("msrv"));
    process::run_ok(check.args([
        "check",
        "--workspace",
        "--all-features",
        "--lib",
        "--bins",
        "--examples",
    ]))?;
    Ok(Outcome::good())
}
