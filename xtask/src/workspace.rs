//! Paths of the workspace, and how this tool starts cargo.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process;

/// The packages of the test servers, load programs and the demo. They are built together, so that
/// their common dependencies are compiled once.
pub(crate) const RIGS: [&str; 2] = ["rigs", "chat"];

/// The workspace of this tool.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The output of `cargo metadata`.
    pub(crate) metadata: Value,
}

impl Workspace {
    pub(crate) fn find() -> Result<Workspace, String> {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR");
        let manifest_dir =
            manifest_dir.as_deref().unwrap_or(OsStr::new(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(manifest_dir).parent().ok_or("xtask has no parent folder")?.to_owned();
        let text = process::output(cargo_in(&root).args(["metadata", "--format-version", "1"]))?;
        let metadata =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Ok(Workspace { root, metadata })
    }

    /// The folders of the workspace members, relative to its root.
    pub(crate) fn members(&self) -> Vec<PathBuf> {
        let packages = self.metadata.get("workspace_default_members").and_then(Value::as_array);
        let manifests = self.metadata.get("packages").and_then(Value::as_array);
        let is_member = |package: &&Value| {
            let id = package.get("id");
            packages.into_iter().flatten().any(|member| Some(member) == id)
        };
        let folder = |package: &Value| {
            let manifest = Path::new(package.get("manifest_path")?.as_str()?);
            manifest.parent()?.strip_prefix(&self.root).ok().map(Path::to_owned)
        };
        manifests.into_iter().flatten().filter(is_member).filter_map(folder).collect()
    }

    pub(crate) fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }

    /// A folder for this tool below cargo's target folder.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        let target =
            self.metadata.get("target_directory").and_then(Value::as_str).map(PathBuf::from);
        target.unwrap_or_else(|| self.root.join("target")).join(name)
    }

    /// Builds an example of any crate in the profile of the tests and returns its path.
    pub(crate) fn example(&self, name: &str) -> Result<PathBuf, String> {
        Ok(self.build_as_tested("--example", name)?.join("examples").join(executable(name)))
    }

    /// Builds the program that starts an engine and returns its path.
    pub(crate) fn engines(&self) -> Result<PathBuf, String> {
        Ok(self.build_as_tested("--bin", "engines")?.join(executable("engines")))
    }

    /// Builds the chat demo for release and returns its path.
    pub(crate) fn demo(&self) -> Result<PathBuf, String> {
        self.bin(&["chat"], "chat", "release")
    }

    /// Builds a program of [`RIGS`] for release and returns its path.
    pub(crate) fn rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin(&RIGS, name, "release")
    }

    /// Builds a program of [`RIGS`] with link-time optimization, for measurements.
    pub(crate) fn measured_rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin(&RIGS, name, "measured")
    }

    /// Builds for the packages and features of `cargo test --workspace --all-features`, so that no
    /// dependency is compiled a second time. Returns the folder of the profile.
    fn build_as_tested(&self, kind: &str, name: &str) -> Result<PathBuf, String> {
        let args = ["build", "--workspace", "--all-features", kind, name];
        process::run_ok(self.cargo().args(args))?;
        Ok(self.target("debug"))
    }

    fn bin(&self, packages: &[&str], name: &str, profile: &str) -> Result<PathBuf, String> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--profile", profile, "--bin", name]);
        process::run_ok(cargo.args(packages.iter().flat_map(|package| ["-p", package])))?;
        Ok(self.target(profile).join(executable(name)))
    }
}

fn executable(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
