//! Server programs. They end with their standard input, so they never outlive the test program.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use engines::Port;

/// The implementation of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Program {
    /// Node's server of this generation.
    Node(u8),
    Rust,
}

/// A server program and its environment.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    program: Program,
    env: Vec<(&'static str, String)>,
}

impl Setting {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, env: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.env.push((name, value.to_string()));
        self
    }

    pub(crate) fn start(&self) -> Peer {
        self.start_on(free_port())
    }

    pub(crate) fn start_on(&self, reserved: Arc<Port>) -> Peer {
        let port = reserved.number();
        let mut command = match self.program {
            Program::Node(version) => {
                let mut node = Command::new("node");
                node.arg(path("PEER_PACKAGES").join("servers/peer.mjs"));
                node.env("VERSION", version.to_string());
                node
            }
            Program::Rust => Command::new(path("PEER_SERVER")),
        };
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("PORT", port.to_string()).env("LEASH", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.map_while(Result::ok).any(|line| line.contains("LISTENING"));
        assert!(listening, "{self:?} ended before it listened");
        Peer { child, port, reserved }
    }
}

/// A running server, killed when this is dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
    reserved: Arc<Port>,
}

impl Peer {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Kills the server and returns its port, for a successor.
    pub(crate) fn kill(self) -> Arc<Port> {
        self.reserved.clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the port of a shared server. The first test that needs it starts it, and it ends with
/// the test program.
pub(crate) fn shared(program: Program, parser: &'static str) -> u16 {
    static RUNNING: Mutex<Option<HashMap<(Program, &str), Peer>>> = Mutex::new(None);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let peers = running.get_or_insert_default();
    let start = || Setting::new(program).with("PARSER", parser).start();
    peers.entry((program, parser)).or_insert_with(start).port
}

pub(crate) fn free_port() -> Arc<Port> {
    Arc::new(Port::free().unwrap())
}

fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test client`")).into()
}
