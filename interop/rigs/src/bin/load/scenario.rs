//! The scenarios and their measurement.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fs, io,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::LocalSet, time::sleep};

use crate::{
    http::Polling,
    socket::{Socket, binary, frame},
};

#[derive(Default)]
pub(crate) struct Figure {
    pub(crate) units: u64,
    pub(crate) micros: f64,
    pub(crate) rate: f64,
    pub(crate) wrong: u64,
    pub(crate) kib: f64,
    latencies: Vec<u32>,
}

impl Figure {
    pub(crate) fn percentile(&self, percent: usize) -> u32 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// 50 connections, each with this many messages in flight, either in bursts or one by one.
    Echo {
        ack: bool,
        in_flight: usize,
        burst: bool,
    },
    Binary,
    /// Broadcasts of this size to 1000 connections, with this many in flight.
    Cast {
        bytes: usize,
        in_flight: usize,
        rooms: bool,
    },
    Polling,
    Connect,
    Idle,
}

const SCENARIOS: [Scenario; 16] = {
    const fn of(name: &'static str, kind: Kind) -> Scenario {
        Scenario { name, kind }
    }
    const fn cast(bytes: usize, in_flight: usize, rooms: bool) -> Kind {
        Kind::Cast { bytes, in_flight, rooms }
    }
    const fn echo(ack: bool, in_flight: usize, burst: bool) -> Kind {
        Kind::Echo { ack, in_flight, burst }
    }
    [
        of("echo1", echo(false, 1, false)),
        of("echo16", echo(false, 16, false)),
        of("burst16", echo(false, 16, true)),
        of("ack1", echo(true, 1, false)),
        of("ack16", echo(true, 16, false)),
        of("binary64k", Kind::Binary),
        of("cast64x1", cast(64, 1, false)),
        of("cast64x8", cast(64, 8, false)),
        of("cast1kx1", cast(1024, 1, false)),
        of("cast1kx8", cast(1024, 8, false)),
        of("rooms64x1", cast(64, 1, true)),
        of("rooms64x8", cast(64, 8, true)),
        of("polling", Kind::Polling),
        of("connect", Kind::Connect),
        of("idle", Kind::Idle),
        of("idle1k", Kind::Idle),
    ]
};

/// Results shared by the connections of one run.
#[derive(Default)]
struct Tally {
    units: Cell<u64>,
    wrong: Cell<u64>,
    over: Cell<bool>,
    news: Notify,
    latencies: RefCell<Vec<u32>>,
}

impl Tally {
    fn count(&self, units: u64) {
        self.units.set(self.units.get() + units);
    }

    fn took(&self, since: Instant) {
        self.latencies.borrow_mut().push(since.elapsed().as_micros() as u32);
    }
}

impl Scenario {
    pub(crate) const NAMES: [&'static str; SCENARIOS.len()] = {
        let mut names = [""; SCENARIOS.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = SCENARIOS[at].name;
            at += 1;
        }
        names
    };

    pub(crate) fn find(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    pub(crate) async fn run(
        self,
        port: u16,
        server: Process,
        duration: Duration,
    ) -> io::Result<Figure> {
        let local = LocalSet::new();
        local.run_until(self.measure(port, server, duration)).await
    }

    async fn measure(self, port: u16, server: Process, duration: Duration) -> io::Result<Figure> {
        if let Kind::Idle = self.kind {
            return idle(port, server, if self.name == "idle" { 10_000 } else { 1000 }).await;
        }
        let tally = Rc::new(Tally::default());
        match self.kind {
            Kind::Echo { ack, in_flight, burst } => {
                for _ in 0..50 {
                    let socket = Socket::connect(port).await?;
                    spawn(echo(socket, tally.clone(), ack, in_flight, burst));
                }
            }
            Kind::Binary => {
                for _ in 0..10 {
                    spawn(binaries(Socket::connect(port).await?, tally.clone()));
                }
            }
            Kind::Polling => {
                for _ in 0..50 {
                    spawn(polling(Polling::connect(port).await?, tally.clone()));
                }
            }
            Kind::Connect => (0..50).for_each(|_| spawn(connects(port, tally.clone()))),
            Kind::Cast { bytes, in_flight, rooms } => {
                casts(port, tally.clone(), bytes, in_flight, rooms).await?;
            }
            Kind::Idle => {}
        }
        sleep(Duration::from_millis(500)).await; // warm
        tally.latencies.borrow_mut().clear();
        let (units, cpu, began) = (tally.units.get(), server.cpu()?, Instant::now());
        sleep(duration).await;
        let (units, cpu, took) =
            (tally.units.get() - units, server.cpu()? - cpu, began.elapsed().as_secs_f64());
        tally.over.set(true);
        Ok(Figure {
            units,
            micros: cpu as f64 / 1000.0 / units.max(1) as f64,
            rate: units as f64 / took,
            wrong: tally.wrong.get(),
            kib: 0.0,
            latencies: tally.latencies.take(),
        })
    }
}

/// Runs the work of a connection. A connection that fails during the run has lost messages.
fn spawn(work: impl Future<Output = io::Result<()>> + 'static) {
    tokio::task::spawn_local(async move {
        if let Err(error) = work.await {
            eprintln!("load: a connection failed: {error}");
        }
    });
}

fn message(ack: bool, number: u32) -> Vec<u8> {
    let text = "abcdefghijklmnopqrstuvwxyz".repeat(2);
    let (id, event) = if ack { (number.to_string(), "ack") } else { (String::new(), "echo") };
    frame(format!(r#"42{id}["{event}",{{"id":{number},"text":"{text}"}}]"#).as_bytes())
}

async fn echo(
    mut socket: Socket,
    tally: Rc<Tally>,
    ack: bool,
    in_flight: usize,
    burst: bool,
) -> io::Result<()> {
    let (mut next, mut expected) = (10_000_000, 10_000_000);
    let mut sent = VecDeque::new();
    let mut missing = 0;
    while !tally.over.get() {
        let room = if burst && missing > 0 { 0 } else { in_flight - missing };
        let mut batch = Vec::new();
        for _ in 0..room {
            batch.extend(message(ack, next));
            sent.push_back(Instant::now());
            next += 1;
        }
        missing += room;
        if !batch.is_empty() {
            socket.send(&batch).await?;
        }
        socket
            .receive(|payload| {
                let number = expected.to_string();
                let found = payload.windows(8).any(|eight| eight == number.as_bytes());
                tally.wrong.set(tally.wrong.get() + u64::from(!found));
                expected += 1;
                missing -= 1;
                tally.count(1);
                if let Some(since) = sent.pop_front() {
                    tally.took(since);
                }
            })
            .await?;
    }
    Ok(())
}

async fn binaries(mut socket: Socket, tally: Rc<Tally>) -> io::Result<()> {
    let header = br#"451-["bin",{"_placeholder":true,"num":0}]"#;
    let message = [frame(header), binary(&[7; 64 * 1024])].concat();
    while !tally.over.get() {
        let since = Instant::now();
        socket.send(&message).await?;
        let mut frames = 0;
        while frames < 2 {
            socket.receive(|_| frames += 1).await?;
        }
        tally.count(1);
        tally.took(since);
    }
    Ok(())
}

async fn polling(mut polling: Polling, tally: Rc<Tally>) -> io::Result<()> {
    let mut number = 10_000_000;
    while !tally.over.get() {
        let since = Instant::now();
        polling.push(&format!(r#"42["echo",{{"id":{number},"text":"abcdefgh"}}]"#)).await?;
        let body = polling.poll().await?;
        tally.wrong.set(tally.wrong.get() + u64::from(!body.contains(&number.to_string())));
        tally.count(1);
        tally.took(since);
        number += 1;
    }
    Ok(())
}

async fn connects(port: u16, tally: Rc<Tally>) -> io::Result<()> {
    while !tally.over.get() {
        let since = Instant::now();
        drop(Socket::connect(port).await?);
        tally.count(1);
        tally.took(since);
    }
    Ok(())
}

/// Starts 1000 recipients, and one sender that keeps `in_flight` broadcasts in flight.
async fn casts(
    port: u16,
    tally: Rc<Tally>,
    bytes: usize,
    in_flight: usize,
    rooms: bool,
) -> io::Result<()> {
    let recipients = if rooms { 10 } else { 1000 };
    for index in 0..1000 {
        let mut socket = Socket::connect(port).await?;
        if rooms {
            let join = format!(r#"421["join","room-{:03}"]"#, index / 10);
            socket.send(&frame(join.as_bytes())).await?;
            let mut joined = false;
            while !joined {
                socket.receive(|payload| joined |= payload.starts_with(b"431")).await?;
            }
        }
        let tally = tally.clone();
        spawn(async move {
            while !tally.over.get() {
                socket.receive(|_| tally.count(1)).await?;
                tally.news.notify_one();
            }
            Ok(())
        });
    }
    // The sender is in no room, but gets a copy of each broadcast to all.
    let mut sender = Socket::connect(port).await?;
    let copies = u64::from(!rooms);
    spawn(async move {
        let text = "x".repeat(bytes);
        let (mut sent, mut room, mut own) = (0_u64, 0, 0_u64);
        let mut since = VecDeque::new();
        while !tally.over.get() {
            let done = tally.units.get() / recipients;
            while since.len() as u64 > sent - done {
                if let Some(since) = since.pop_front() {
                    tally.took(since);
                }
            }
            if sent - done >= in_flight as u64 {
                tally.news.notified().await;
                continue;
            }
            let message = if rooms {
                room = (room + 1) % 100;
                format!(r#"42["roomcast","room-{room:03}","{text}"]"#)
            } else {
                format!(r#"42["cast","{text}"]"#)
            };
            sender.send(&frame(message.as_bytes())).await?;
            since.push_back(Instant::now());
            sent += 1;
            while own + in_flight as u64 <= sent * copies {
                sender.receive(|_| own += 1).await?;
            }
        }
        Ok(())
    });
    Ok(())
}

async fn idle(port: u16, server: Process, connections: usize) -> io::Result<Figure> {
    let before = server.memory()?;
    let mut sockets = Vec::with_capacity(connections);
    for _ in 0..connections {
        sockets.push(Socket::connect(port).await?);
    }
    let tally = Rc::new(Tally::default());
    for mut socket in sockets {
        let tally = tally.clone();
        spawn(async move {
            while !tally.over.get() {
                socket.receive(|_| ()).await?;
            }
            Ok(())
        });
    }
    sleep(Duration::from_secs(3)).await;
    let grown = server.memory()?.saturating_sub(before);
    tally.over.set(true);
    let kib = grown as f64 / connections as f64;
    Ok(Figure { units: connections as u64, kib, ..Figure::default() })
}

/// The server's process. Its resource usage comes from `/proc`.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Returns the CPU time of all threads so far, in nanoseconds.
    pub(crate) fn cpu(self) -> io::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            total += first.parse::<u64>().map_err(io::Error::other)?;
        }
        Ok(total)
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn memory(self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kib = line.split_whitespace().nth(1).unwrap_or_default();
        kib.parse().map_err(io::Error::other)
    }
}
