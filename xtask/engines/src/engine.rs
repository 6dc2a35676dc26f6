//! The common part of all engines: a supervised process, its port, and a check that it is ready.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{port::Port, program::Error, watched::Watched};

/// The longest time an engine may take until it is ready. A test machine with two cores is slow at
/// times.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running engine. It stops when this value is dropped.
#[derive(Debug)]
pub struct Engine {
    url: String,
    port: Port,
    is_ready: fn(&mut TcpStream) -> std::io::Result<bool>,
    process: Watched,
}

impl Engine {
    /// Starts the process, which must listen on `port`, and waits until it is ready.
    pub(crate) fn start(
        url: String,
        port: Port,
        process: Watched,
        is_ready: fn(&mut TcpStream) -> std::io::Result<bool>,
    ) -> Result<Engine, Error> {
        let engine = Engine { url, port, is_ready, process };
        engine.restart()?;
        Ok(engine)
    }

    /// The address for clients, such as `redis://127.0.0.1:20123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Kills the engine with `SIGKILL`, as a crash would. Connections break, and its port refuses
    /// new ones.
    ///
    /// # Errors
    ///
    /// The supervising shell has exited.
    pub fn kill(&self) -> Result<(), Error> {
        self.process.command("kill")
    }

    /// Starts the engine again on the same port and waits until it is ready. Kills it first if it
    /// is running.
    ///
    /// Redis and NATS lose their data. PostgreSQL and the files of JetStream keep theirs.
    ///
    /// # Errors
    ///
    /// The engine was not ready within a minute.
    pub fn restart(&self) -> Result<(), Error> {
        self.process.command("start")?;
        self.wait()
    }

    /// Stops the process with `SIGSTOP`, as if its machine hung. Connections stay open and the
    /// kernel still accepts new ones, but the engine does not respond.
    ///
    /// # Errors
    ///
    /// The supervising shell has exited.
    pub fn pause(&self) -> Result<(), Error> {
        self.process.command("pause")
    }

    /// Continues the process after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// The engine was not ready within a minute.
    pub fn resume(&self) -> Result<(), Error> {
        self.process.command("resume")?;
        self.wait()
    }

    /// Everything the engine has logged, with all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn wait(&self) -> Result<(), Error> {
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while Instant::now() < deadline {
            if self.check().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(Error(format!(
            "{} is not ready. Its log ends with: {}",
            self.url,
            self.process.log_tail()
        )))
    }

    fn check(&self) -> std::io::Result<bool> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port.number()));
        let mut stream = TcpStream::connect_timeout(&address, STARTUP_TIMEOUT)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        (self.is_ready)(&mut stream)
    }
}
