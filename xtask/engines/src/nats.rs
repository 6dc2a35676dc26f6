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
        let mut command = Command::new(program::find("nats-server", "nats-server")?);
        let port = Port::free()?;
        command.args(["-a", "127.0.0.1", "-p", &port.number().to_string()]);
        let url = format!("nats://127.0.0.1:{}", port.number());
        let process = Watched::new(scratch("nats")?, &command)?;
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
