//! A server of MongoDB's protocol.

use std::{net::TcpStream, ops::Deref, process::Command};

use crate::{
    engine::Engine,
    port::Port,
    program::{self, Error},
    watched::{Watched, scratch},
};

/// The variable with the path of the program, which need not be in the user's path.
const PROGRAM: &str = "SECANTUSD";

/// SecantusDB, a server of MongoDB's protocol with change streams. It takes MongoDB's place, because
/// it can be installed like any package of Python.
#[derive(Debug)]
pub struct Mongo(Engine);

impl Mongo {
    /// Starts a server, which is a replica set of its own. Its data survives a restart.
    ///
    /// # Errors
    ///
    /// `secantusd-py` is missing or was not ready within a minute.
    pub fn start() -> Result<Mongo, Error> {
        let program = match std::env::var_os(PROGRAM) {
            Some(path) => path.into(),
            None => program::find("secantusd-py", "secantusdb, of pip")?,
        };
        let (folder, port) = (scratch("mongo")?, Port::free()?);
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &port.number().to_string()]);
        command.arg("--storage-path").arg(folder.join("data"));
        let url = format!("mongodb://127.0.0.1:{}/?directConnection=true", port.number());
        Engine::start(url, port, Watched::new(folder, &command)?, is_ready).map(Mongo)
    }
}

impl Deref for Mongo {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

/// The server listens when it is ready.
fn is_ready(_: &mut TcpStream) -> std::io::Result<bool> {
    Ok(true)
}
