//! The check with the lowest versions that the manifests allow: of the dependencies and of the compiler.

use std::fs;
use std::process::Command;

use super::outcome::Outcome;
use crate::npm::copy;
use crate::process;
use crate::workspace::Workspace;

/// A member that is not checked, because it needs higher versions than the libraries. None of them
/// depends on it.
const LEFT_OUT: &str = "socketio-server/examples/observability";

/// A package outside of the workspace, on which a member depends.
const FUZZER: &str = "interop/libfuzzer";

/// Checks the published libraries in a copy whose lock file names the lowest versions, with
/// the compiler that `rust-version` names. Creating the lock file needs a nightly cargo.
pub(super) fn minimal(workspace: &Workspace) -> Result<Outcome, String> {
    let folder = workspace.target("minimal");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let manifest = workspace.root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(failed)?;
    let oldest = text.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let oldest = oldest.ok_or("Cargo.toml names no rust-version")?.trim_end_matches('"');

    let cargo = |toolchain: &str| {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, "cargo"]);
        // The variables of this tool's own toolchain would take precedence.
        command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    let is_installed =
        |toolchain: &&str| process::output(cargo(toolchain).arg("--version")).is_ok();
    // A toolchain has the name by which it was installed.
    let names = [oldest, &format!("{oldest}.0")];
    let Some(compiler) = names.into_iter().find(|name| is_installed(name)) else {
        return Ok(Outcome::not_run(&format!(
            "Rust {oldest} is missing (rustup toolchain install {oldest})"
        )));
    };
    if !is_installed(&"nightly") {
        return Ok(Outcome::not_run(
            "the nightly toolchain is missing (rustup toolchain install nightly)",
        ));
    }

    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    for member in workspace.members().into_iter().chain([FUZZER.into()]) {
        copy(&workspace.root.join(&member), &folder.join(&member))?;
    }
    let members = text.replace(&format!("    \"{LEFT_OUT}\",\n"), "");
    fs::write(folder.join("Cargo.toml"), members).map_err(failed)?;
    process::run_ok(cargo("nightly").current_dir(&folder).args([
        "-Zdirect-minimal-versions",
        "generate-lockfile",
        "--quiet",
    ]))?;
    let mut check = cargo(compiler);
    check.current_dir(&folder).env("CARGO_TARGET_DIR", workspace.target("minimal-build"));
    check.args(["check", "--workspace", "--all-features", "--lib"]);
    check.args(["--exclude", "guide", "--exclude", "rigs", "--exclude", "engines"]);
    check.args(["--exclude", "sim"]);
    process::run_ok(&mut check)?;
    Ok(Outcome::good())
}
