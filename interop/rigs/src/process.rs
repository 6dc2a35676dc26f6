//! The resources of another process, from `/proc`.

use std::{fs, io};

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Returns the CPU time of all threads so far, user and system, in nanoseconds. The time of a
    /// zombie process is 0.
    pub fn cpu(self) -> io::Result<u64> {
        if fs::read_to_string(format!("/proc/{}/stat", self.0))?.contains(") Z ") {
            return Ok(0);
        }
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            total += first.parse::<u64>().map_err(io::Error::other)?;
        }
        Ok(total)
    }

    /// Returns the resident memory in KiB.
    pub fn memory(self) -> io::Result<u64> {
        figure(&format!("/proc/{}/status", self.0), "VmRSS:", 1)
    }
}

/// Returns a number of a file of `/proc`: the word at `index` of the line that begins with `name`.
pub fn figure(path: &str, name: &str, index: usize) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let word = line.split_whitespace().nth(index).unwrap_or_default();
    word.parse().map_err(|error| io::Error::other(format!("{path}: {name} {error}")))
}
