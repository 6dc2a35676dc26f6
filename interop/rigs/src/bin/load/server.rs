//! Resource usage of the server's process, from `/proc`.

use std::{fs, io};

#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Returns the CPU time of all threads so far, in nanoseconds.
    pub(crate) fn cpu(self) -> io::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            total += first.parse::<u64>().map_err(io::Error::other)?;
        }
        Ok(total)
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn memory(self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kib = line.split_whitespace().nth(1).unwrap_or_default();
        kib.parse().map_err(io::Error::other)
    }
}
