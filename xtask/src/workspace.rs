//! Paths of the workspace, and how this tool starts cargo.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process;

/// Features of the servers beyond their defaults, for the tests.
pub(crate) const FEATURES: &str = "socketio-server/http2,socketio-server/tls";

const SERVER: (&str, &str) = ("socketio-server", FEATURES);
const EMITTER: (&str, &str) = ("socketio-emitter", "redis,postgres,nats");

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

    /// Builds an example of socketio-server for release and returns its path. Does nothing if it is
    /// up to date.
    pub(crate) fn release_example(&self, name: &str) -> Result<PathBuf, String> {
        self.example(SERVER, name)
    }

    /// Builds the chat example, a package of its own, for release and returns its path.
    pub(crate) fn chat(&self) -> Result<PathBuf, String> {
        self.bin("chat", "chat", "release")
    }

    /// Builds a test server or load program of `interop/rigs` for release and returns its path.
    pub(crate) fn rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin("rigs", name, "release")
    }

    /// Builds a test server or load program with link-time optimization, for measurements.
    pub(crate) fn measured_rig(&self, name: &str) -> Result<PathBuf, String> {
        self.bin("rigs", name, "measured")
    }

    /// Builds an example of socketio-client in the profile of its tests and returns its path.
    pub(crate) fn debug_client(&self, name: &str) -> Result<PathBuf, String> {
        let args = ["build", "-p", "socketio-client", "--all-features", "--example", name];
        process::run_ok(self.cargo().args(args))?;
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        Ok(self.target("debug").join("examples").join(file))
    }

    /// Builds an example of the emitter and returns its path.
    pub(crate) fn emitter(&self, name: &str) -> Result<PathBuf, String> {
        self.example(EMITTER, name)
    }

    /// Builds the program that starts an engine and returns its path.
    pub(crate) fn engines(&self) -> Result<PathBuf, String> {
        process::run_ok(self.cargo().args(["build", "-p", "engines"]))?;
        Ok(self.target("debug").join(format!("engines{}", std::env::consts::EXE_SUFFIX)))
    }

    fn bin(&self, package: &str, name: &str, profile: &str) -> Result<PathBuf, String> {
        let args = ["build", "--profile", profile, "-p", package, "--bin", name];
        process::run_ok(self.cargo().args(args))?;
        Ok(self.target(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    fn example(&self, (package, features): (&str, &str), name: &str) -> Result<PathBuf, String> {
        process::run_ok(self.cargo().args([
            "build",
            "--release",
            "-p",
            package,
            "--features",
            features,
            "--example",
            name,
        ]))?;
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        Ok(self.target("release").join("examples").join(file))
    }
}

fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
