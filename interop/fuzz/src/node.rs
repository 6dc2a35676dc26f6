//! Inputs for Node's parsers, in batches over a pipe to a process of Node.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// The inputs of a batch. Node waits for the pipe only once per batch.
const BATCH: usize = 500;

/// A process of Node, which ends when this value is dropped.
#[derive(Debug)]
pub struct NodeParser {
    child: Child,
    input: ChildStdin,
    /// The lines that Node writes. A thread reads them, because Node stops if nothing does.
    lines: Receiver<String>,
    parser: u8,
    batch: Vec<Vec<u8>>,
}

impl NodeParser {
    /// Starts `parsers.mjs`. The environment variable `PEER_PACKAGES` names the folder with the
    /// packages and scripts, which `cargo xtask fuzz` installs.
    ///
    /// # Panics
    ///
    /// Panics if Node cannot be started.
    pub fn start(parser: char) -> Self {
        let folder = std::env::var_os("PEER_PACKAGES").map(PathBuf::from);
        let Some(folder) = folder else { panic!("PEER_PACKAGES is not set") };
        let mut command = Command::new("node");
        command
            .arg(folder.join("servers/parsers.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else { panic!("cannot start node") };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("node has no pipes")
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
        });
        Self { child, input, lines, parser: parser as u8, batch: Vec::new() }
    }

    /// Adds an input. Passes the inputs of a complete batch to `compare`, each with what Node
    /// returned for it.
    pub fn add(&mut self, input: &[u8], compare: impl FnMut(&[u8], &str)) {
        self.batch.push(input.to_vec());
        if self.batch.len() == BATCH {
            self.finish(compare);
        }
    }

    /// Compares the inputs of an incomplete batch.
    ///
    /// # Panics
    ///
    /// Panics if Node has ended.
    pub fn finish(&mut self, mut compare: impl FnMut(&[u8], &str)) {
        let mut bytes = Vec::new();
        for input in &self.batch {
            bytes.push(self.parser);
            bytes.extend((input.len() as u32).to_be_bytes());
            bytes.extend(input);
        }
        assert!(self.input.write_all(&bytes).is_ok(), "node has ended");
        for input in std::mem::take(&mut self.batch) {
            let Ok(line) = self.lines.recv() else { panic!("node has ended") };
            compare(&input, &line);
        }
    }
}

impl Drop for NodeParser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
