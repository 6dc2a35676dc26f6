//! `cargo xtask demo`: builds the chat example and serves it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::workspace::Workspace;
use crate::{npm, process};

const DEFAULT_PORT: u16 = 3000;

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let port = match port_from(args)? {
        Some(port) => free(port)?,
        None => free(DEFAULT_PORT).unwrap_or(0),
    };
    let chat = workspace.demo()?;
    let mut command = Command::new(chat);
    command.env("PORT", port.to_string());
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

fn port_from(args: &[String]) -> Result<Option<u16>, String> {
    let value = match args {
        [] => return Ok(None),
        [flag, value] if flag == "--port" => value.as_str(),
        [one] if one.starts_with("--port=") => one.trim_start_matches("--port="),
        _ => return Err("usage: cargo xtask demo [--port N]".to_owned()),
    };
    let port = value
        .parse()
        .map_err(|_| format!("--port takes a number from 0 to 65535, not `{value}`"))?;
    Ok(Some(port))
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

    #[test]
    fn both_forms_of_the_port_option_are_accepted() {
        assert_eq!(port_from(&args(&[])), Ok(None));
        assert_eq!(port_from(&args(&["--port", "8080"])), Ok(Some(8080)));
        assert_eq!(port_from(&args(&["--port=0"])), Ok(Some(0)));
    }

    #[test]
    fn the_error_for_an_invalid_port_is_one_line_that_names_it() {
        for bad in ["abc", "-1", "65536", ""] {
            let error = port_from(&args(&["--port", bad])).unwrap_err();
            assert!(error.contains(&format!("`{bad}`")) && !error.contains('\n'), "{error}");
        }
        assert!(port_from(&args(&["--port"])).is_err());
        assert!(port_from(&args(&["8080"])).is_err());
    }

    #[test]
    fn a_taken_port_is_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(free(port).unwrap_err().contains("is taken"));
        assert_eq!(free(0), Ok(0));
    }
}
