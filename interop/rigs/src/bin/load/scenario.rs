//! The scenarios and their measurement.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use rigs::process::Process;
use tokio::{task::LocalSet, time::sleep};

use crate::{
    casts::{self, InFlight},
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
    /// Broadcasts of this size to 1000 connections.
    Cast(usize, InFlight),
    Polling,
    Connect,
    Idle,
}

const SCENARIOS: [Scenario; 16] = {
    const fn of(name: &'static str, kind: Kind) -> Scenario {
        Scenario { name, kind }
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
        of("cast64x1", Kind::Cast(64, InFlight::ToAll(1))),
        of("cast64x8", Kind::Cast(64, InFlight::ToAll(8))),
        of("cast1kx1", Kind::Cast(1024, InFlight::ToAll(1))),
        of("cast1kx8", Kind::Cast(1024, InFlight::ToAll(8))),
        of("rooms64x1", Kind::Cast(64, InFlight::OneRoom)),
        of("rooms64x8", Kind::Cast(64, InFlight::EachRoom(8))),
        of("polling", Kind::Polling),
        of("connect", Kind::Connect),
        of("idle", Kind::Idle),
        of("idle1k", Kind::Idle),
    ]
};

/// Results shared by the connections of one run.
#[derive(Default)]
pub(crate) struct Tally {
    units: Cell<u64>,
    /// Messages that were lost or out of order, and connections that failed.
    wrong: Cell<u64>,
    /// Nothing is sent any more; the connections wait for what is in flight.
    pub(crate) over: Cell<bool>,
    /// Connections that have not ended.
    active: Cell<u64>,
    latencies: RefCell<Vec<u32>>,
}

impl Tally {
    pub(crate) fn count(&self, units: u64) {
        self.units.set(self.units.get() + units);
    }

    pub(crate) fn took(&self, since: Instant) {
        self.latencies.borrow_mut().push(since.elapsed().as_micros() as u32);
    }

    /// Checks that a message has the expected number, which has eight digits.
    pub(crate) fn check(&self, payload: &[u8], expected: u64) {
        let number = expected.to_string();
        if !payload.windows(8).any(|eight| eight == number.as_bytes()) {
            self.wrong.set(self.wrong.get() + 1);
        }
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
            return idle(
                port,
                server,
                if self.name == "idle" { 10_000 } else { 1000 },
                5 * duration,
            )
            .await;
        }
        let tally = Rc::new(Tally::default());
        match self.kind {
            Kind::Echo { ack, in_flight, burst } => {
                for socket in Socket::connect_all(port, 50).await? {
                    spawn(&tally, echo(socket, tally.clone(), ack, in_flight, burst));
                }
            }
            Kind::Binary => {
                for _ in 0..10 {
                    spawn(&tally, binaries(Socket::connect(port).await?, tally.clone()));
                }
            }
            Kind::Polling => {
                for _ in 0..50 {
                    spawn(&tally, polling(Polling::connect(port).await?, tally.clone()));
                }
            }
            Kind::Connect => {
                (0..50).for_each(|_| spawn(&tally, connects(port, tally.clone())));
            }
            Kind::Cast(bytes, in_flight) => casts::start(port, &tally, bytes, in_flight).await?,
            Kind::Idle => {}
        }
        sleep(duration / 2).await; // warm
        tally.latencies.borrow_mut().clear();
        let (units, cpu, began) = (tally.units.get(), server.cpu()?, Instant::now());
        sleep(duration).await;
        let (units, cpu, took) =
            (tally.units.get() - units, server.cpu()? - cpu, began.elapsed().as_secs_f64());
        tally.over.set(true);
        let latencies = tally.latencies.take();
        // Messages that are still missing after this time count as lost.
        for _ in 0..500 {
            if tally.active.get() == 0 {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Figure {
            units,
            micros: cpu as f64 / 1000.0 / units.max(1) as f64,
            rate: units as f64 / took,
            wrong: tally.wrong.get() + tally.active.get(),
            kib: 0.0,
            latencies,
        })
    }
}

/// Runs the work of a connection. A connection that fails has lost messages.
pub(crate) fn spawn(tally: &Rc<Tally>, work: impl Future<Output = io::Result<()>> + 'static) {
    tally.active.set(tally.active.get() + 1);
    let tally = tally.clone();
    tokio::task::spawn_local(async move {
        if let Err(error) = work.await {
            eprintln!("load: a connection failed: {error}");
            tally.wrong.set(tally.wrong.get() + 1);
        }
        tally.active.set(tally.active.get() - 1);
    });
}

fn message(ack: bool, number: u64) -> Vec<u8> {
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
    while !tally.over.get() || missing > 0 {
        let stop = tally.over.get() || (burst && missing > 0);
        let room = if stop { 0 } else { in_flight - missing };
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
                tally.check(payload, expected);
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
    let mut content = vec![7; 64 * 1024];
    let mut number = 10_000_000_u64;
    while !tally.over.get() {
        content[..8].copy_from_slice(number.to_string().as_bytes());
        let message = [frame(header), binary(&content)].concat();
        let since = Instant::now();
        socket.send(&message).await?;
        let mut frames = 0;
        while frames < 2 {
            socket
                .receive(|payload| {
                    frames += 1;
                    if frames == 2 && payload != content {
                        tally.wrong.set(tally.wrong.get() + 1);
                    }
                })
                .await?;
        }
        number += 1;
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
        tally.check(body.as_bytes(), number);
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

/// Measures the memory of idle connections. The server should send pings within the time that this
/// waits, because the memory before the first ping is less than that after it.
async fn idle(
    port: u16,
    server: Process,
    connections: usize,
    wait: Duration,
) -> io::Result<Figure> {
    // The first connections also load code and fill the caches of the allocator.
    let mut sockets = Socket::connect_all(port, 50).await?;
    let before = server.memory()?;
    sockets.extend(Socket::connect_all(port, connections).await?);
    for mut socket in sockets {
        let work = async move { while socket.receive(|_| ()).await.is_ok() {} };
        tokio::task::spawn_local(work);
    }
    sleep(wait).await;
    let grown = server.memory()?.saturating_sub(before);
    let kib = grown as f64 / connections as f64;
    Ok(Figure { units: connections as u64, kib, ..Figure::default() })
}
