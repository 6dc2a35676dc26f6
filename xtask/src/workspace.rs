//! Paths of the workspace, and how this tool starts cargo.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process;

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
        let args = ["metadata", "--all-features", "--format-version", "1"];
        let text = process::output(cargo_in(&root).args(args))?;
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

    /// The compiler that cargo uses.
    pub(crate) fn rustc(&self) -> Command {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.current_dir(&self.root);
        rustc
    }

    /// A folder for this tool below cargo's target folder.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        let target =
            self.metadata.get("target_directory").and_then(Value::as_str).map(PathBuf::from);
        target.unwrap_or_else(|| self.root.join("target")).join(name)
    }

    /// Builds all programs and examples as the tests need them. The packages, features and profile
    /// are those of the tests, so that no library is compiled a second time.
    pub(crate) fn programs(&self) -> Result<Programs, String> {
        let args = ["build", "--workspace", "--all-features", "--bins", "--examples"];
        process::run_ok(self.cargo().args(args))?;
        Ok(Programs { folder: self.target("debug") })
    }

    /// Builds some of the programs, with the packages, features and profile of [`Self::programs`].
    /// With the example the features of the libraries are also those of the tests.
    pub(crate) fn test_programs(&self, names: &[&str]) -> Result<Programs, String> {
        let bins = names.iter().flat_map(|name| ["--bin", name]);
        let args = ["build", "--workspace", "--all-features", "--example", "echo"];
        process::run_ok(self.cargo().args(args).args(bins))?;
        Ok(Programs { folder: self.target("debug") })
    }

    /// Builds the servers inside web frameworks, which are a workspace of their own, and returns the
    /// folder of the programs.
    pub(crate) fn frameworks(&self) -> Result<PathBuf, String> {
        let target = self.target("frameworks");
        let manifest = self.root.join("socketio-server/examples/frameworks/Cargo.toml");
        let mut cargo = self.cargo();
        cargo.env("CARGO_TARGET_DIR", &target).arg("build").arg("--manifest-path").arg(manifest);
        process::run_ok(&mut cargo)?;
        Ok(target.join("debug"))
    }

    /// Builds the chat demo for release and returns its path.
    pub(crate) fn demo(&self) -> Result<PathBuf, String> {
        self.bin("chat", "chat", "release")
    }

    /// Builds a program of `rigs` with link-time optimization, for measurements.
    pub(crate) fn measured_rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin("rigs", name, "measured")
    }

    /// Builds a program of `rigs` for release.
    pub(crate) fn release_rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin("rigs", name, "release")
    }

    fn bin(&self, package: &str, name: &str, profile: &str) -> Result<PathBuf, String> {
        let args = ["build", "--profile", profile, "--package", package, "--bin", name];
        process::run_ok(self.cargo().args(args))?;
        Ok(self.target(profile).join(executable(name)))
    }
}

/// The programs and examples that tests start.
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.folder.join(executable(name))
    }

    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.examples().join(executable(name))
    }

    /// The folder of the examples.
    pub(crate) fn examples(&self) -> PathBuf {
        self.folder.join("examples")
    }
}

fn executable(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// Cargo without the variables that `cargo run` has set for this tool. The build script of `ring` runs
/// again if they change, and with it everything above is compiled again.
fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root);
    command
}
