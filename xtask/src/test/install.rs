//! The programs that tests start. They are installed if they are missing and this process may
//! install packages.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::outcome::Outcome;
use crate::process;
use crate::workspace::Workspace;

/// Engines, proxies, the reader of metrics and the counter of instructions, each with its Debian package.
const ENGINES: [(&str, &str); 9] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("postgres", "postgresql"),
    ("nats-server", "nats-server"),
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("caddy", "caddy"),
    ("prometheus", "prometheus"),
    ("valgrind", "valgrind"),
];
/// The browsers and what drives them: the variable for each program, its usual names, its Debian package.
const BROWSERS: [(&str, &[&str], &str); 4] = [
    ("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"], "chromium"),
    ("FIREFOX", &["firefox-esr", "firefox"], "firefox-esr"),
    ("WEBKIT_DRIVER", &["WebKitWebDriver"], "webkit2gtk-driver"),
    ("XVFB", &["Xvfb"], "xvfb"),
];
/// Debian's folders for servers' programs, which are not in every user's path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const POSTGRES: &str = "/usr/lib/postgresql";
/// Debian runs this script, if it exists, before it starts a service. Exit code 101 forbids the
/// start.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const NO_SERVICES: &str = "printf '#!/bin/sh\\nexit 101\\n' > \"$0\" && chmod 755 \"$0\"";

/// Checks that these programs are installed, and installs them if possible.
pub(super) fn engines(_: &Workspace) -> Result<Outcome, String> {
    if missing().is_empty() {
        return Ok(Outcome::good());
    }
    if may_install() {
        without_services(|| install(&missing()))?;
    }
    match missing() {
        none if none.is_empty() => Ok(Outcome::good()),
        some => Err(format!("install your system's packages: {}", some.join(" "))),
    }
}

/// The variables that give the tests the paths of the browsers. Installs missing ones if possible.
pub(super) fn browsers() -> Result<Vec<(&'static str, OsString)>, String> {
    let missing = match find_browsers() {
        Ok(browsers) => return Ok(browsers),
        Err(packages) => packages,
    };
    if may_install() {
        install(&missing)?;
    }
    find_browsers().map_err(|packages| {
        let variables = BROWSERS.map(|(variable, ..)| variable).join(", ");
        let packages = packages.join(" ");
        format!("install your system's packages: {packages}; or set {variables} to the programs")
    })
}

/// The browsers, or the packages of those that are missing.
fn find_browsers() -> Result<Vec<(&'static str, OsString)>, Vec<&'static str>> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (variable, programs, package) in BROWSERS {
        let usual = || programs.iter().find_map(|name| find(name)).map(PathBuf::into_os_string);
        match std::env::var_os(variable).or_else(usual) {
            Some(path) => found.push((variable, path)),
            None => missing.push(package),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(missing) }
}

/// The command of a tool of cargo. Installs it below the target folder if it is missing, which takes
/// minutes.
pub(super) fn cargo_tool(
    workspace: &Workspace,
    name: &str,
    options: &[&str],
) -> Result<Command, String> {
    let folder = workspace.target("tools");
    let tool = || {
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":");
        path.push(folder.join("bin"));
        let mut cargo = workspace.cargo();
        cargo.env("PATH", path).arg(name);
        cargo
    };
    if process::output(tool().arg("--version")).is_err() {
        println!("installing cargo-{name}");
        let mut install = workspace.cargo();
        install.args(["install", "--locked"]).args(options).arg(format!("cargo-{name}"));
        process::run_ok(install.arg("--root").arg(&folder))?;
    }
    Ok(tool())
}

/// Installs Debian packages.
pub(super) fn install(packages: &[&str]) -> Result<(), String> {
    println!("installing {}", packages.join(" "));
    process::run_ok(Command::new("apt-get").arg("update"))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    process::run_ok(install.args(["install", "-y"]).args(packages))
}

/// Whether this process may install packages: it runs as root and `apt-get` exists.
pub(super) fn may_install() -> bool {
    let id = process::output(Command::new("id").arg("-u")).unwrap_or_default();
    id.trim() == "0" && process::exists("apt-get")
}

/// Finds a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn missing() -> Vec<&'static str> {
    let all = ENGINES.iter().filter(|(program, _)| find(program).is_none());
    all.map(|(_, package)| *package).collect()
}

/// Prevents Debian from starting the installed engines as services on their usual ports.
fn without_services(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    if std::path::Path::new(POLICY).exists() {
        return run();
    }
    process::run_ok(Command::new("sh").args(["-c", NO_SERVICES, POLICY]))?;
    let result = run();
    let _ = std::fs::remove_file(POLICY);
    result
}
