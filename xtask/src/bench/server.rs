//! Starts the server of a benchmark.

use std::process::Command;

use crate::process::{self, Background};

/// Starts a server on the first core. Returns its port too.
pub(super) fn start(server: &Command) -> Result<(Background, u16), String> {
    let port = process::free_port()?;
    // Many simultaneous connections need many file descriptors.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 20000; exec taskset -c 0 \"$@\"", "sh"]);
    command.arg(server.get_program()).args(server.get_args());
    command.envs(server.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("PORT", port.to_string());
    Ok((Background::start(&mut command, "LISTENING")?, port))
}
