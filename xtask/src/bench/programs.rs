//! The programs that are compared: how they are built and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::cases::Program;
use crate::npm;
use crate::process::{self, Background};
use crate::test::python;
use crate::workspace::Workspace;

/// Open files of a program, unless there are many clients.
pub(super) const FILES: usize = 20_000;

/// Built programs.
pub(super) struct Programs {
    /// Load generators, of this workspace.
    rigs: PathBuf,
    /// Programs of the package `bench-peers`, and the same in the profile `best`.
    peers: PathBuf,
    best: PathBuf,
    /// The folder of the scripts for Node, with the packages that they import.
    node: PathBuf,
    /// The folder of the script for Python, and the interpreter.
    scripts: PathBuf,
    python: PathBuf,
}

impl Programs {
    /// Builds what the selected programs need.
    pub(super) fn build(workspace: &Workspace, wanted: &[Program]) -> Result<Self, String> {
        if !process::exists("taskset") || !process::exists("prlimit") {
            return Err("needs taskset and prlimit (package util-linux)".to_owned());
        }
        let wants = |names: &[&str]| wanted.iter().any(|program| names.contains(&program.name));
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--release", "--package", "rigs", "--no-default-features"]);
        process::run_ok(cargo.args(["--bin", "load", "--bin", "floods", "--bin", "million"]))?;
        let target = workspace.target("bench");
        let peers = |profile: &str, rest: &[&str]| {
            let mut cargo = workspace.cargo();
            cargo.current_dir(workspace.root.join("interop/bench/peers"));
            cargo.args(["build", "--profile", profile, "--target-dir"]);
            process::run_ok(cargo.arg(&target).args(rest))
        };
        // The server of the clients is always ours.
        peers("release", &["--bins"])?;
        if wants(&["ours-tuned", "socketioxide-tuned", "floor", "floor-json"]) {
            let mut servers = ["--bin", "ours", "--bin", "socketioxide", "--bin", "floor"].to_vec();
            servers.extend(["--bin", "codecs"]);
            peers("best", &[&["--features", "mimalloc"][..], &servers].concat())?;
        }
        let node = workspace.target("interop");
        if wants(&["node"]) {
            npm::install_copy(&workspace.root.join("interop"), &node)?;
        }
        let python = match wants(&["python"]) {
            true => python::environment(workspace)?,
            false => PathBuf::new(),
        };
        Ok(Self {
            rigs: workspace.target("release"),
            peers: target.join("release"),
            best: target.join("best"),
            node: node.join("bench"),
            scripts: workspace.root.join("interop/bench"),
            python,
        })
    }

    /// The command of a server.
    pub(super) fn server(&self, program: Program) -> Command {
        let (mut command, variable) = match program.name {
            "ours-tuned" => (Command::new(self.best.join("ours")), Some("TUNED")),
            "socketioxide" => (Command::new(self.peers.join("socketioxide")), None),
            "socketioxide-tuned" => (Command::new(self.best.join("socketioxide")), Some("TUNED")),
            "floor" => (Command::new(self.best.join("floor")), None),
            "floor-json" => (Command::new(self.best.join("floor")), Some("JSON")),
            "node" => (script("node", &self.node.join("server.mjs")), None),
            "python" => (script(&self.python, &self.scripts.join("server.py")), None),
            _ => (Command::new(self.peers.join("ours")), None),
        };
        if let Some(variable) = variable {
            command.env(variable, "1");
        }
        command
    }

    /// The command of a client that generates load.
    pub(super) fn client(&self, program: Program) -> Command {
        match program.name {
            "node" => script("node", &self.node.join("client.mjs")),
            "rust_socketio" => Command::new(self.peers.join("client_rust_socketio")),
            _ => Command::new(self.peers.join("client_ours")),
        }
    }

    /// The command that measures a codec.
    pub(super) fn codec(&self, program: Program) -> Command {
        let (folder, codec) = match program.name {
            "ours-tuned" => (&self.best, "ours"),
            "socketioxide" => (&self.peers, "socketioxide"),
            "socketioxide-tuned" => (&self.best, "socketioxide"),
            "floor-json" => (&self.best, "serde_json"),
            "node" => return script("node", &self.node.join("codecs.mjs")),
            _ => (&self.peers, "ours"),
        };
        let mut command = Command::new(folder.join("codecs"));
        command.arg(codec);
        command
    }

    pub(super) fn rig(&self, name: &str) -> Command {
        Command::new(self.rigs.join(name))
    }
}

fn script(program: impl AsRef<std::ffi::OsStr>, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(path);
    command
}

/// Starts a server on the first core. Returns its port too.
pub(super) fn start(server: &Command, files: usize) -> Result<(Background, u16), String> {
    let port = process::free_port()?;
    let mut command = pinned(server, "0", files);
    command.env("PORT", port.to_string());
    Ok((Background::start(&mut command, "LISTENING")?, port))
}

/// The output of a load generator on the second core, which is stopped after `seconds`.
pub(super) fn generate(load: &Command, files: usize, seconds: u32) -> Result<Value, String> {
    let mut limited = Command::new("timeout");
    limited.arg(seconds.to_string()).arg(load.get_program()).args(load.get_args());
    limited.envs(load.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let text = process::output(&mut pinned(&limited, "1", files))?;
    serde_json::from_str(&text).map_err(|error| format!("{load:?}: {error}: {text}"))
}

/// A command on one core, with a limit of open files.
fn pinned(command: &Command, core: &str, files: usize) -> Command {
    let mut pinned = Command::new("prlimit");
    pinned.args([&format!("--nofile={files}"), "taskset", "-c", core]);
    pinned.arg(command.get_program()).args(command.get_args());
    pinned.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    pinned
}
