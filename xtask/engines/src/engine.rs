//! What all engines have in common: a watched process, a port, and a way to tell that it answers.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{error::Error, port::Port, watched::Watched};

/// How long an engine may take until it answers. A test machine with two cores is slow at times.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A running engine, stopped when it is dropped.
#[derive(Debug)]
pub struct Engine {
    url: String,
    port: Port,
    answers: fn(&mut TcpStream) -> std::io::Result<bool>,
    process: Watched,
}

impl Engine {
    /// Starts a program that is to listen on `port`, and waits until it answers.
    pub(crate) fn start(
        url: String,
        port: Port,
        process: Watched,
        answers: fn(&mut TcpStream) -> std::io::Result<bool>,
    ) -> Result<Engine, Error> {
        let engine = Engine { url, port, answers, process };
        engine.restart()?;
        Ok(engine)
    }

    /// What clients connect to, such as `redis://127.0.0.1:20123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Ends it at once, as a crash would (`SIGKILL`). Connections break, its port refuses new ones.
    ///
    /// # Errors
    ///
    /// The shell that watches over it is gone.
    pub fn kill(&self) -> Result<(), Error> {
        self.process.tell("kill")
    }

    /// Starts it again on the same port, and waits until it answers. Redis and NATS are empty then; PostgreSQL and the
    /// files of JetStream are not.
    /// One that runs is killed first.
    ///
    /// # Errors
    ///
    /// It did not answer within a minute.
    pub fn restart(&self) -> Result<(), Error> {
        self.process.tell("start")?;
        self.wait()
    }

    /// Stops it in its tracks (`SIGSTOP`): connections stay open and the kernel still accepts new ones, but nothing
    /// answers, as when its machine hangs.
    ///
    /// # Errors
    ///
    /// The shell that watches over it is gone.
    pub fn pause(&self) -> Result<(), Error> {
        self.process.tell("pause")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// It did not answer within a minute.
    pub fn resume(&self) -> Result<(), Error> {
        self.process.tell("resume")?;
        self.wait()
    }

    fn wait(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.asked().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(Error(format!("{} does not answer. {}", self.url, self.process.said())))
    }

    fn asked(&self) -> std::io::Result<bool> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port.number()));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        (self.answers)(&mut stream)
    }
}
