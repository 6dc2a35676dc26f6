//! The network between clients and nodes. A balancer in it sends each client to one node.

mod line;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use self::line::Line;
pub(crate) use self::line::{End, Failure, Quality, Side};
use crate::random::Random;

/// Takes the server's end of a new line.
type Accept = Arc<dyn Fn(End) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

struct State {
    random: Random,
    /// The function that accepts connections to each node. `None`: the node is down.
    nodes: Vec<Option<Accept>>,
    /// The node of each client.
    targets: Vec<usize>,
    /// The clients with little bandwidth.
    slow: BTreeSet<usize>,
    /// Pairs of clients and nodes that cannot reach each other.
    blocked: BTreeSet<(usize, usize)>,
    lines: Vec<OpenLine>,
    /// Whether new lines fail by themselves.
    faulty: bool,
    latency: Duration,
}

struct OpenLine {
    client: usize,
    node: usize,
    line: Weak<Mutex<Line>>,
}

impl Network {
    pub(crate) fn new(mut random: Random, nodes: usize, clients: usize) -> Self {
        let targets = (0..clients).map(|_| random.below(nodes)).collect();
        let latency = random.millis(0..80);
        Self(Arc::new(Mutex::new(State {
            random,
            nodes: vec![None; nodes],
            targets,
            slow: BTreeSet::new(),
            blocked: BTreeSet::new(),
            lines: Vec::new(),
            faulty: false,
            latency,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what accepts the lines to a node. `None`: the node refuses them.
    pub(crate) fn listen(&self, node: usize, accept: Option<Accept>) {
        self.state().nodes[node] = accept;
    }

    /// Opens a line from a client to its node.
    pub(crate) async fn dial(&self, client: usize) -> io::Result<End> {
        let latency = self.state().latency;
        sleep(latency).await;
        let Some((accept, end, peer)) = self.state().open(client)? else {
            return std::future::pending().await;
        };
        accept(peer);
        Ok(end)
    }

    /// Sends a client to another node from now on, perhaps.
    pub(crate) fn retarget(&self, client: usize) {
        let state = &mut *self.state();
        state.targets[client] = state.random.below(state.nodes.len());
    }

    /// Applies `change` to all lines of a client, or of a node. Returns the number of lines.
    fn each(&self, wanted: impl Fn(&OpenLine) -> bool, change: impl Fn(&mut Line)) -> usize {
        let lines: Vec<_> = {
            let state = self.state();
            let wanted = state.lines.iter().filter(|open| wanted(open));
            wanted.filter_map(|open| open.line.upgrade()).collect()
        };
        for line in &lines {
            change(&mut line.lock().unwrap_or_else(PoisonError::into_inner));
        }
        lines.len()
    }

    /// Fails one of the client's lines, or all of them.
    pub(crate) fn fail(&self, client: usize, failure: Failure) -> usize {
        self.each(|open| open.client == client, |line| line.fail(failure))
    }

    pub(crate) fn stall(&self, client: usize, duration: Duration) -> usize {
        let until = Instant::now() + duration;
        self.each(|open| open.client == client, |line| line.stall(until))
    }

    /// Fails all lines of a node.
    pub(crate) fn fail_node(&self, node: usize, failure: Failure) {
        self.each(|open| open.node == node, |line| line.fail(failure));
    }

    /// Separates a client from a node, or connects them again. Lines between them go silent.
    pub(crate) fn block(&self, client: usize, node: usize, blocked: bool) {
        if !blocked {
            self.state().blocked.remove(&(client, node));
            return;
        }
        self.state().blocked.insert((client, node));
        let wanted = |open: &OpenLine| open.client == client && open.node == node;
        self.each(wanted, |line| line.fail(Failure::Silence));
    }

    pub(crate) fn slow(&self, client: usize, slow: bool) {
        let mut state = self.state();
        if slow {
            state.slow.insert(client)
        } else {
            state.slow.remove(&client)
        };
    }

    /// Ends all lasting troubles. New lines do not fail any more, and slow lines are cut, so that
    /// fast ones replace them.
    pub(crate) fn heal(&self) {
        let slow = {
            let mut state = self.state();
            state.blocked.clear();
            state.faulty = false;
            std::mem::take(&mut state.slow)
        };
        for client in slow {
            self.fail(client, Failure::Cut);
        }
        // Lines that would fail later.
        self.each(|_| true, Line::spare);
    }

    pub(crate) fn make_faulty(&self) {
        self.state().faulty = true;
    }

    /// The number of lines that both ends hold.
    pub(crate) fn open_lines(&self) -> usize {
        let state = self.state();
        let lines = state.lines.iter().filter_map(|open| open.line.upgrade());
        lines.filter(|line| line.lock().is_ok_and(|line| line.is_alive())).count()
    }
}

impl State {
    /// Returns `None` if nobody answers.
    fn open(&mut self, client: usize) -> io::Result<Option<(Accept, End, End)>> {
        let node = self.targets[client];
        if self.blocked.contains(&(client, node)) {
            return Ok(None);
        }
        let Some(accept) = self.nodes[node].clone() else {
            // The balancer tries another node next time.
            let nodes = 0..self.nodes.len();
            let up: Vec<_> = nodes.filter(|node| self.nodes[*node].is_some()).collect();
            if let Some(other) = self.random.pick(&up) {
                self.targets[client] = *other;
            }
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let quality = self.quality(client);
        let (line, end, peer) = Line::ends(quality, self.random.fork());
        self.lines.retain(|open| open.line.strong_count() > 0);
        self.lines.push(OpenLine { client, node, line: Arc::downgrade(&line) });
        Ok(Some((accept, end, peer)))
    }

    fn quality(&mut self, client: usize) -> Quality {
        let random = &mut self.random;
        let slow = self.slow.contains(&client);
        let failure = match random.below(4) {
            0 | 1 => Failure::Cut,
            2 => Failure::Silence,
            _ => Failure::HalfOpen([Side::Client, Side::Server][random.below(2)]),
        };
        // Most of an upgrade fits into 2000 bytes.
        let limit = if random.chance(50) { random.below(2_000) } else { random.below(20_000) };
        let doomed = (self.faulty && random.chance(20)).then_some((limit, failure));
        Quality {
            latency: self.latency + random.millis(0..20),
            bandwidth: if slow { 1_500 } else { 1_000_000 },
            window: if slow { 4 * 1024 } else { 64 * 1024 },
            doomed,
        }
    }
}
