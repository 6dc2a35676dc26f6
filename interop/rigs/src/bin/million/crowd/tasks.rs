//! The tasks of the thread that serves a crowd.

use std::{
    io, mem,
    sync::mpsc::{Receiver, Sender, TryRecvError},
};

use super::Crowd;
use crate::{JOINS_IN_FLIGHT, PATIENCE, ROOMS, TEXT};

/// A task of a crowd. Between tasks it serves its clients.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    /// Connect this many clients.
    Connect(usize),
    /// Only report.
    Report,
    /// Receive a broadcast with all clients. If `sends`, the first client causes it.
    Broadcast { sends: bool },
    /// Let every client join one of the rooms.
    Join,
    /// Close all connections.
    Leave,
}

/// The state of a crowd after a task.
pub(crate) struct Report {
    /// Clients that are connected to the namespace.
    pub(crate) ready: usize,
    pub(crate) pings: u64,
    /// Messages that did not arrive during the task.
    pub(crate) missing: usize,
    /// When the clients received the broadcast, in µs since the epoch.
    pub(crate) casts: Vec<u32>,
    /// Why the first of the clients failed.
    pub(crate) error: Option<String>,
}

/// Performs the tasks until there are no more. `crowds` is the number of crowds.
pub(crate) fn work(
    mut crowd: Crowd,
    crowds: usize,
    tasks: &Receiver<Task>,
    reports: &Sender<io::Result<Report>>,
) -> io::Result<()> {
    loop {
        let report = match tasks.try_recv() {
            Ok(task) => crowd.perform(task, crowds),
            Err(TryRecvError::Empty) => {
                crowd.turn()?;
                continue;
            }
            Err(TryRecvError::Disconnected) => return Ok(()),
        };
        if reports.send(report).is_err() {
            return Ok(());
        }
    }
}

impl Crowd {
    fn perform(&mut self, task: Task, crowds: usize) -> io::Result<Report> {
        let mut missing = 0;
        match task {
            Task::Connect(clients) => self.connect(clients, PATIENCE)?,
            Task::Report => {}
            Task::Broadcast { sends } => missing = self.broadcast(sends)?,
            Task::Join => missing = self.join((JOINS_IN_FLIGHT / crowds).max(8))?,
            Task::Leave => {
                self.clients = Vec::new();
                self.ready = 0;
            }
        }
        Ok(Report {
            ready: self.ready,
            pings: self.pings,
            missing,
            casts: mem::take(&mut self.casts),
            error: self.error.clone(),
        })
    }

    /// Waits until all clients have received a broadcast. Returns how many did not.
    fn broadcast(&mut self, sends: bool) -> io::Result<usize> {
        let clients = self.ready;
        self.casts.reserve_exact(clients);
        if sends {
            let text = format!(r#"42["cast","{}"]"#, "x".repeat(TEXT));
            self.send_from_first(text.as_bytes())?;
        }
        self.until(PATIENCE, |it| it.casts.len() >= clients, |it| it.casts.len())?;
        Ok(clients.saturating_sub(self.casts.len()))
    }

    /// Lets every client join a room. Returns how many got no response.
    fn join(&mut self, in_flight: usize) -> io::Result<usize> {
        self.acks = 0;
        let mut sent = 0;
        for index in 0..self.clients.len() {
            // Crowds of 1500 clients use all rooms too.
            let room = (index + usize::from(self.number) * 997) % ROOMS;
            sent +=
                usize::from(self.send(index, format!(r#"421["join","room-{room}"]"#).as_bytes())?);
            let enough = sent.saturating_sub(in_flight);
            self.until(PATIENCE, |it| it.acks >= enough, |it| it.acks)?;
        }
        self.until(PATIENCE, |it| it.acks >= sent, |it| it.acks)?;
        Ok(sent.saturating_sub(self.acks))
    }
}
