//! NATS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    process::Command,
};

use crate::{
    engine::Engine,
    error::Error,
    port::Port,
    program,
    watched::{Watched, scratch},
};

/// A NATS server.
#[derive(Debug)]
pub struct Nats(Engine);

impl Nats {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// `nats-server` is missing or does not answer.
    pub fn start() -> Result<Nats, Error> {
        Nats::with(false)
    }

    /// Starts one with JetStream. What its streams keep in files is there after a restart.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_jetstream() -> Result<Nats, Error> {
        Nats::with(true)
    }

    fn with(jetstream: bool) -> Result<Nats, Error> {
        let mut command = Command::new(program::find("nats-server", "nats-server")?);
        let (folder, port) = (scratch("nats")?, Port::free()?);
        command.args(["-a", "127.0.0.1", "-p", &port.number().to_string()]);
        if jetstream {
            command.arg("-js").arg("-sd").arg(folder.join("streams"));
        }
        let url = format!("nats://127.0.0.1:{}", port.number());
        let process = Watched::new(folder, &command)?;
        Engine::start(url, port, process, answers).map(Nats)
    }
}

impl Deref for Nats {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

fn answers(stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut greeting = [0; 5];
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n")?;
    stream.read_exact(&mut greeting)?;
    Ok(&greeting == b"INFO ")
}
