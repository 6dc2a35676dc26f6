//! `cargo xtask demo`: builds the chat example and serves it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::workspace::Workspace;
use crate::{npm, process};

const DEFAULT_PORT: u16 = 3000;
const USAGE: &str = "usage: cargo xtask demo [--port N] [--nodes N] [--webtransport]";

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let options = Options::read(args)?;
    let port = match options.port {
        Some(port) => free(port)?,
        None => free(DEFAULT_PORT).unwrap_or(0),
    };
    let chat = workspace.demo()?;
    let mut command = Command::new(chat);
    command.env("PORT", port.to_string()).env("NODES", options.nodes.to_string());
    command.env("WEBTRANSPORT", u8::from(options.webtransport).to_string());
    match client_folder(workspace) {
        Ok(path) => {
            command.env("CLIENT_DIR", path);
        }
        Err(why) => {
            command.env_remove("CLIENT_DIR");
            println!(
                "The browser loads the client from cdn.socket.io, because the npm package is not installed: {why}"
            );
        }
    }
    // The example prints its address when it listens.
    let status = process::run(&mut command)?;
    if status.success() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(format!("the chat server ended ({status})"))
    }
}

#[derive(Debug, PartialEq)]
struct Options {
    port: Option<u16>,
    /// How many servers form a cluster.
    nodes: u8,
    /// Also serve WebTransport.
    webtransport: bool,
}

impl Options {
    fn read(args: &[String]) -> Result<Self, String> {
        let mut options = Self { port: None, nodes: 1, webtransport: false };
        let mut args = args.iter().flat_map(|arg| arg.splitn(2, '='));
        while let Some(flag) = args.next() {
            if flag == "--webtransport" {
                options.webtransport = true;
                continue;
            }
            let value = args.next().ok_or(USAGE)?;
            match flag {
                "--port" => options.port = Some(number(flag, value, 65_535)? as u16),
                "--nodes" => options.nodes = number(flag, value, 8)?.max(1) as u8,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}

fn number(flag: &str, value: &str, most: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{flag} takes a number up to {most}, not `{value}`"))
}

/// Returns the port if no process listens on it. Port 0 is always free.
fn free(port: u16) -> Result<u16, String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(format!(
            "port {port} is taken; choose another with --port N, or any free port with --port 0"
        )),
        Err(error) => Err(format!("cannot listen on port {port}: {error}")),
    }
}

fn client_folder(workspace: &Workspace) -> Result<PathBuf, String> {
    let folder = workspace.target("demo");
    let version = npm::pinned(workspace, "socket.io-client")?;
    let installed = folder.join("node_modules/socket.io-client");
    let manifest = std::fs::read_to_string(installed.join("package.json")).unwrap_or_default();
    if !manifest.contains(&format!("\"version\": \"{version}\"")) {
        npm::install_one(&folder, &format!("socket.io-client@{version}"))?;
    }
    Ok(installed.join("dist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn options(words: &[&str]) -> Result<(Option<u16>, u8), String> {
        Options::read(&args(words)).map(|options| (options.port, options.nodes))
    }

    #[test]
    fn both_forms_of_an_option_are_accepted() {
        assert_eq!(options(&[]), Ok((None, 1)));
        assert_eq!(options(&["--port", "8080"]), Ok((Some(8080), 1)));
        assert_eq!(options(&["--port=0", "--nodes=2"]), Ok((Some(0), 2)));
        let flags = args(&["--webtransport", "--port", "0"]);
        let expected = Options { port: Some(0), nodes: 1, webtransport: true };
        assert_eq!(Options::read(&flags), Ok(expected));
    }

    #[test]
    fn the_error_for_an_invalid_number_is_one_line_that_names_it() {
        for bad in ["abc", "-1", "65536", ""] {
            let error = options(&["--port", bad]).unwrap_err();
            assert!(error.contains(&format!("`{bad}`")) && !error.contains('\n'), "{error}");
        }
        assert!(options(&["--nodes", "9"]).is_err());
        assert!(options(&["--port"]).is_err());
        assert!(options(&["8080"]).is_err());
    }

    #[test]
    fn a_taken_port_is_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(free(port).unwrap_err().contains("is taken"));
        assert_eq!(free(0), Ok(0));
    }
}
