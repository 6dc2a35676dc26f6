//! PostgreSQL.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    engine::Engine,
    port::Port,
    program::{self, Error, run},
    tls,
    watched::{Watched, scratch},
};

const PACKAGE: &str = "postgresql";
/// The name of the role and of the database. If the tests run as root, the server runs as the
/// system user of this name.
const USER: &str = "postgres";
/// These settings trade durability after a crash of the machine for speed. The tests do not need
/// it.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=200",
    "autovacuum=off",
    "log_min_messages=fatal",
];

/// A PostgreSQL server with one empty database and one role, `postgres`, without a password.
#[derive(Debug)]
pub struct Postgres(Engine);

impl Postgres {
    /// Creates a database and starts a server for it.
    ///
    /// # Errors
    ///
    /// PostgreSQL's programs are missing, or the server was not ready within a minute. As root,
    /// also if there is no system user `postgres`, because PostgreSQL refuses to run as root.
    pub fn start() -> Result<Postgres, Error> {
        Postgres::with(None)
    }

    /// Starts a server with this certificate and its key in PEM. It accepts connections with and
    /// without TLS.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_tls(certificate: &str, key: &str) -> Result<Postgres, Error> {
        Postgres::with(Some((certificate, key)))
    }

    fn with(tls: Option<(&str, &str)>) -> Result<Postgres, Error> {
        let (initdb, server) =
            (program::find("initdb", PACKAGE)?, program::find("postgres", PACKAGE)?);
        let root = is_root()?;
        let folder = scratch("postgres")?;
        let port = Port::free()?;
        let data = folder.join("data");

        let mut command = unprivileged(&server, root);
        command.arg("-D").arg(&data).args(["-p", &port.number().to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        if let Some((certificate, key)) = tls {
            let (certificate, key) = tls::write(&folder, certificate, key)?;
            command.args(["-c", "ssl=on"]);
            command.arg("-c").arg(format!("ssl_cert_file={}", certificate.display()));
            command.arg("-c").arg(format!("ssl_key_file={}", key.display()));
        }
        // From here on the folder is removed even if a step fails.
        let process = Watched::new(folder.clone(), &command)?;
        if root {
            run(Command::new("chown").arg("-R").arg(USER).arg(&folder))?;
        }
        run(Command::new("cp").arg("-a").args([&template(&initdb, root)?, &data]))?;
        let url = format!("postgres://{USER}@127.0.0.1:{}/{USER}", port.number());
        Engine::start(url, port, process, is_ready).map(Postgres)
    }
}

impl Deref for Postgres {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

/// Returns the data folder of an empty database, from which others are copied, because a copy takes
/// half the time of `initdb`. It stays in the system's folder for temporary files. There is one for
/// each version and each user.
fn template(initdb: &Path, root: bool) -> Result<PathBuf, Error> {
    let failed = |error| Error(format!("`{}`: {error}", initdb.display()));
    let version = Command::new(initdb).arg("--version").output().map_err(failed)?.stdout;
    let word = |text: &[u8]| -> String {
        text.iter().map(|c| if c.is_ascii_alphanumeric() { char::from(*c) } else { '-' }).collect()
    };
    let user = std::env::var_os("USER").unwrap_or_default();
    let name = format!("engines-template-{}{}", word(&version), word(user.as_encoded_bytes()));
    let template = std::env::temp_dir().join(name);
    if template.exists() {
        return Ok(template);
    }
    let folder = scratch("template")?;
    if root {
        run(Command::new("chown").arg(USER).arg(&folder))?;
    }
    let mut make = unprivileged(initdb, root);
    make.args(["--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", USER, "-D"]);
    let data = folder.join("data");
    run(make.arg(&data).current_dir(&folder))?;
    // Another process may have been faster.
    let renamed = std::fs::rename(&data, &template);
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    if template.exists() { Ok(template) } else { renamed.map(|()| template).map_err(failed) }
}

fn is_root() -> Result<bool, Error> {
    let id = Command::new("id").arg("-u").output();
    let id = id.map_err(|error| Error(format!("`id`: {error}")))?;
    Ok(id.stdout.trim_ascii() == b"0")
}

fn unprivileged(path: &Path, root: bool) -> Command {
    if !root {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(path);
    command
}

/// Whether the server accepts a login. It refuses logins while it starts.
fn is_ready(stream: &mut TcpStream) -> std::io::Result<bool> {
    const VERSION: [u8; 4] = [0, 3, 0, 0];
    let mut hello = vec![0, 0, 0, 0];
    hello.extend(VERSION);
    for word in ["user", USER, "database", USER, ""] {
        hello.extend(word.bytes().chain([0]));
    }
    let length = u32::try_from(hello.len()).unwrap_or_default().to_be_bytes();
    hello.iter_mut().zip(length).for_each(|(byte, length)| *byte = length);
    stream.write_all(&hello)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok(&kind == b"R")
}
