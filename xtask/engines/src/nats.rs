//! NATS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    path::Path,
    process::Command,
};

use crate::{
    engine::Engine,
    port::Port,
    program::{self, Error},
    tls,
    watched::{Watched, scratch},
};

/// A NATS server.
#[derive(Debug)]
pub struct Nats(Engine);

impl Nats {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// `nats-server` is missing or was not ready within a minute.
    pub fn start() -> Result<Nats, Error> {
        Nats::with("nats", |_, _| Ok(()))
    }

    /// Starts a server with JetStream. Streams stored in files survive a restart.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_jetstream() -> Result<Nats, Error> {
        Nats::with("nats", |folder, command| {
            command.arg("-js").arg("-sd").arg(folder.join("streams"));
            Ok(())
        })
    }

    /// Starts a server that only accepts TLS, with this certificate and its key in PEM.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_tls(certificate: &str, key: &str) -> Result<Nats, Error> {
        Nats::with("tls", |folder, command| {
            let (certificate, key) = tls::write(folder, certificate, key)?;
            command.arg("--tls").arg("--tlscert").arg(certificate).arg("--tlskey").arg(key);
            Ok(())
        })
    }

    /// Starts a server with JetStream and a configuration file, such as one with users and their
    /// permissions.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_configuration(text: &str) -> Result<Nats, Error> {
        Nats::with("nats", |folder, command| {
            let path = folder.join("nats.conf");
            let failed = |error| Error(format!("{}: {error}", path.display()));
            std::fs::write(&path, text).map_err(failed)?;
            command.arg("-c").arg(&path).arg("-js").arg("-sd").arg(folder.join("streams"));
            Ok(())
        })
    }

    fn with(
        scheme: &str,
        options: impl FnOnce(&Path, &mut Command) -> Result<(), Error>,
    ) -> Result<Nats, Error> {
        let mut command = Command::new(program::find("nats-server", "nats-server")?);
        let (folder, port) = (scratch("nats")?, Port::free()?);
        command.args(["-a", "127.0.0.1", "-p", &port.number().to_string()]);
        options(&folder, &mut command)?;
        let url = format!("{scheme}://127.0.0.1:{}", port.number());
        Engine::start(url, port, Watched::new(folder, &command)?, is_ready).map(Nats)
    }
}

impl Deref for Nats {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

const SERVERS: usize = 3;

/// A cluster of three NATS servers with JetStream.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<Nats>,
    _routes: Vec<Port>,
}

impl NatsCluster {
    /// Starts a cluster. Its servers are ready at once; JetStream is ready when they have elected a
    /// leader, some seconds later.
    ///
    /// # Errors
    ///
    /// `nats-server` is missing or was not ready within a minute.
    pub fn start() -> Result<NatsCluster, Error> {
        let routes = (0..SERVERS).map(|_| Port::free()).collect::<Result<Vec<_>, _>>()?;
        let own = |port: &Port| format!("nats://127.0.0.1:{}", port.number());
        let all = routes.iter().map(own).collect::<Vec<_>>().join(",");
        let start = |port: &Port| {
            Nats::with("nats", |folder, command| {
                command.arg("-js").arg("-sd").arg(folder.join("streams"));
                command.args(["-n", &port.number().to_string(), "-cluster_name", "tests"]);
                command.args(["-cluster", &own(port), "-routes", &all]);
                Ok(())
            })
        };
        let servers = routes.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        Ok(NatsCluster { servers, _routes: routes })
    }

    /// The servers, for tests that kill and restart them. A client of one server learns of the
    /// others.
    #[must_use]
    pub fn servers(&self) -> &[Nats] {
        &self.servers
    }
}

fn is_ready(stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut greeting = [0; 5];
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n")?;
    stream.read_exact(&mut greeting)?;
    Ok(&greeting == b"INFO ")
}
