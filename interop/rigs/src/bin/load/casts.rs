//! Broadcasts to 1000 recipients: to all of them, or to 100 rooms of 10.

use std::{cell::Cell, collections::VecDeque, io, rc::Rc, time::Instant};

use tokio::sync::Notify;

use crate::{
    scenario::{Tally, spawn},
    socket::{Socket, frame},
};

const RECIPIENTS: usize = 1000;
const ROOMS: usize = 100;
const FIRST: u64 = 10_000_000;

/// Broadcasts in flight.
#[derive(Clone, Copy)]
pub(crate) enum InFlight {
    /// This many to all recipients.
    ToAll(u64),
    /// One at a time, to one room after the other.
    OneRoom,
    /// This many to each room.
    EachRoom(u64),
}

/// The recipients of one broadcast, from the sender's view.
#[derive(Default)]
struct Group {
    /// Deliveries to all members of the group together.
    delivered: Rc<Cell<u64>>,
    sent: u64,
    /// When the broadcasts in flight were sent.
    since: VecDeque<Instant>,
}

/// Starts the recipients, and one sender. The sender is in no room, but gets a copy of each broadcast
/// to all.
pub(crate) async fn start(
    port: u16,
    tally: &Rc<Tally>,
    bytes: usize,
    in_flight: InFlight,
) -> io::Result<()> {
    let rooms = !matches!(in_flight, InFlight::ToAll(_));
    let members = if rooms { RECIPIENTS / ROOMS } else { RECIPIENTS };
    let deliveries: Vec<Rc<Cell<u64>>> = (0..RECIPIENTS / members).map(|_| Rc::default()).collect();
    let news = Rc::new(Notify::new());
    let mut sockets = Socket::connect_all(port, RECIPIENTS).await?;
    if rooms {
        for (index, socket) in sockets.iter_mut().enumerate() {
            let join = format!(r#"421["join","room-{:03}"]"#, index / members);
            socket.send(&frame(join.as_bytes())).await?;
        }
        for socket in &mut sockets {
            socket.wait_for(b"431").await?;
        }
    }
    for (index, socket) in sockets.into_iter().enumerate() {
        let (tally, news) = (tally.clone(), news.clone());
        let delivered = deliveries[index / members].clone();
        tokio::task::spawn_local(receive(socket, tally, delivered, news));
    }
    let group = |delivered| Group { delivered, sent: 0, since: VecDeque::new() };
    let sender = Sender {
        socket: Socket::connect(port).await?,
        groups: deliveries.into_iter().map(group).collect(),
        members: members as u64,
        padding: "x".repeat(bytes - 8),
        news,
        tally: tally.clone(),
        copies: 0,
    };
    spawn(tally, sender.run(in_flight));
    Ok(())
}

/// Counts broadcasts until the connection ends. The sender notices if some are missing.
async fn receive(mut socket: Socket, tally: Rc<Tally>, delivered: Rc<Cell<u64>>, news: Rc<Notify>) {
    let mut expected = FIRST;
    let mut see = |payload: &[u8]| {
        tally.check(payload, expected);
        expected += 1;
        delivered.set(delivered.get() + 1);
        tally.count(1);
    };
    while socket.receive(&mut see).await.is_ok() {
        news.notify_one();
    }
}

struct Sender {
    socket: Socket,
    groups: Vec<Group>,
    /// Recipients of each group.
    members: u64,
    padding: String,
    news: Rc<Notify>,
    tally: Rc<Tally>,
    /// Copies that the sender itself has received.
    copies: u64,
}

impl Sender {
    async fn run(mut self, in_flight: InFlight) -> io::Result<()> {
        let mut turn = 0;
        loop {
            let missing = self.retire();
            if self.tally.over.get() && missing == 0 {
                return Ok(());
            }
            let mut frames = Vec::new();
            match in_flight {
                _ if self.tally.over.get() => {}
                InFlight::OneRoom if missing > 0 => {}
                InFlight::OneRoom => {
                    turn = (turn + 1) % self.groups.len();
                    frames.extend(self.message(turn, true));
                }
                InFlight::EachRoom(most) | InFlight::ToAll(most) => {
                    let rooms = matches!(in_flight, InFlight::EachRoom(_));
                    for index in 0..self.groups.len() {
                        while (self.groups[index].since.len() as u64) < most {
                            frames.extend(self.message(index, rooms));
                        }
                    }
                }
            }
            if frames.is_empty() {
                self.news.notified().await;
            } else {
                self.socket.send(&frames).await?;
            }
            if let InFlight::ToAll(most) = in_flight {
                while self.copies + most <= self.groups[0].sent {
                    self.socket.receive(|_| self.copies += 1).await?;
                }
            }
        }
    }

    /// Takes the latency of broadcasts that all recipients have. Returns the number of those in
    /// flight.
    fn retire(&mut self) -> usize {
        let mut missing = 0;
        for group in &mut self.groups {
            let complete = group.delivered.get() / self.members;
            while group.since.len() as u64 > group.sent.saturating_sub(complete) {
                if let Some(since) = group.since.pop_front() {
                    self.tally.took(since);
                }
            }
            missing += group.since.len();
        }
        missing
    }

    fn message(&mut self, index: usize, rooms: bool) -> Vec<u8> {
        let group = &mut self.groups[index];
        let (number, padding) = (FIRST + group.sent, &self.padding);
        group.sent += 1;
        group.since.push_back(Instant::now());
        let text = if rooms {
            format!(r#"42["roomcast","room-{index:03}","{number}{padding}"]"#)
        } else {
            format!(r#"42["cast","{number}{padding}"]"#)
        };
        frame(text.as_bytes())
    }
}
