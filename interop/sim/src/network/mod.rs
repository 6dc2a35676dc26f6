//! The network between clients and nodes. A balancer in it sends each client to one node.

mod connection;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use self::connection::Connection;
pub(crate) use self::connection::{End, Failure, Quality, Side};
use crate::random::Random;

/// Takes the server's end of a new connection.
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
    connections: Vec<OpenConnection>,
    /// Whether new connections fail by themselves.
    faulty: bool,
    latency: Duration,
}

struct OpenConnection {
    client: usize,
    node: usize,
    connection: Weak<Mutex<Connection>>,
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
            connections: Vec::new(),
            faulty: false,
            latency,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what accepts the connections to a node. `None`: the node refuses them.
    pub(crate) fn listen(&self, node: usize, accept: Option<Accept>) {
        self.state().nodes[node] = accept;
    }

    /// Opens a connection from a client to its node.
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

    /// Applies `change` to all connections of a client, or of a node. Returns their number.
    fn each(
        &self,
        wanted: impl Fn(&OpenConnection) -> bool,
        change: impl Fn(&mut Connection),
    ) -> usize {
        let connections: Vec<_> = {
            let state = self.state();
            let wanted = state.connections.iter().filter(|open| wanted(open));
            wanted.filter_map(|open| open.connection.upgrade()).collect()
        };
        for connection in &connections {
            change(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        }
        connections.len()
    }

    /// Fails one of the client's connections, or all of them.
    pub(crate) fn fail(&self, client: usize, failure: Failure) -> usize {
        self.each(|open| open.client == client, |connection| connection.fail(failure))
    }

    pub(crate) fn stall(&self, client: usize, duration: Duration) -> usize {
        let until = Instant::now() + duration;
        self.each(|open| open.client == client, |connection| connection.stall(until))
    }

    /// Fails all connections of a node.
    pub(crate) fn fail_node(&self, node: usize, failure: Failure) {
        self.each(|open| open.node == node, |connection| connection.fail(failure));
    }

    /// Separates a client from a node, or connects them again. Lines between them go silent.
    pub(crate) fn block(&self, client: usize, node: usize, blocked: bool) {
        if !blocked {
            self.state().blocked.remove(&(client, node));
            return;
        }
        self.state().blocked.insert((client, node));
        let wanted = |open: &OpenConnection| open.client == client && open.node == node;
        self.each(wanted, |connection| connection.fail(Failure::Silence));
    }

    pub(crate) fn slow(&self, client: usize, slow: bool) {
        let mut state = self.state();
        if slow {
            state.slow.insert(client)
        } else {
            state.slow.remove(&client)
        };
    }

    /// Ends all lasting troubles. New connections do not fail any more, and slow ones are cut, so
    /// that fast ones replace them.
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
        self.each(|_| true, Connection::remove_failure);
    }

    pub(crate) fn make_faulty(&self) {
        self.state().faulty = true;
    }

    /// The number of connections that both ends hold.
    pub(crate) fn open_connections(&self) -> usize {
        let state = self.state();
        let connections = state.connections.iter().filter_map(|open| open.connection.upgrade());
        let is_alive = |it: &Arc<Mutex<Connection>>| it.lock().is_ok_and(|it| it.is_alive());
        connections.filter(is_alive).count()
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
        let (connection, end, peer) = Connection::ends(quality, self.random.fork());
        self.connections.retain(|open| open.connection.strong_count() > 0);
        self.connections.push(OpenConnection {
            client,
            node,
            connection: Arc::downgrade(&connection),
        });
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
        let fails_after = (self.faulty && random.chance(20)).then_some((limit, failure));
        Quality {
            latency: self.latency + random.millis(0..20),
            bandwidth: if slow { 1_500 } else { 1_000_000 },
            window: if slow { 4 * 1024 } else { 64 * 1024 },
            fails_after,
        }
    }
}
