//! npm packages, installed below the target folder to keep the source tree clean.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

const MISSING: &str = "needs Node.js 20 or newer with npm: install it from https://nodejs.org or your package manager";

/// Fails if Node or npm is missing or too old. The error says what to install.
pub(crate) fn require() -> Result<(), String> {
    if !process::exists("npm") {
        return Err(MISSING.to_owned());
    }
    let version =
        process::output(Command::new("node").arg("--version")).map_err(|_| MISSING.to_owned())?;
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major >= 20) {
        return Ok(());
    }
    Err(format!("{MISSING} (found {})", version.trim()))
}

/// Copies `from` to `to` and installs its packages. Skips the installation if the lock file is
/// unchanged.
pub(crate) fn install_copy(from: &Path, to: &Path) -> Result<(), String> {
    require()?;
    let lock = "package-lock.json";
    let up_to_date = same(&from.join(lock), &to.join(lock))
        && to.join("node_modules/.package-lock.json").exists();
    clear(to)?;
    copy(from, to)?;
    if up_to_date {
        return Ok(());
    }
    let verb = if from.join(lock).exists() { "ci" } else { "install" };
    process::run_ok(npm(to).args([verb, "--no-audit", "--no-fund", "--loglevel=error"]))
}

/// Installs one package into a folder below the target folder.
pub(crate) fn install_one(into: &Path, package: &str) -> Result<(), String> {
    require()?;
    fs::create_dir_all(into).map_err(|error| format!("{}: {error}", into.display()))?;
    let prefix = into.to_string_lossy();
    let args =
        ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", &prefix, package];
    process::run_ok(npm(into).args(args))
}

/// The version of a package that `interop/package.json` pins.
pub(crate) fn pinned(workspace: &Workspace, package: &str) -> Result<String, String> {
    let path = workspace.root.join("interop/package.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| format!("interop/package.json: {error}"))?;
    let version = json.get("dependencies").and_then(|all| all.get(package)).and_then(Value::as_str);
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("interop/package.json does not list {package}"))
}

/// Copies the files of a folder over those of another, except installed packages.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        format!("cannot copy {} to {}: {error}", from.display(), to.display())
    };
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if entry.file_name() != "node_modules" {
                copy(&source, &target)?;
            }
        } else {
            fs::copy(&source, &target).map_err(failed)?;
        }
    }
    Ok(())
}

/// Removes the files of an earlier copy, so that files deleted from the source disappear. Installed
/// packages stay.
fn clear(folder: &Path) -> Result<(), String> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = match entry.file_name() {
            name if name == "node_modules" => Ok(()),
            _ if path.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn npm(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder);
    command
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
