//! Redis, alone and as a Redis Cluster.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    engine::Engine,
    port::Port,
    program::{self, Error, run},
    tls,
    watched::{Watched, scratch},
};

const SERVER: (&str, &str) = ("redis-server", "redis-server");
const CLIENT: (&str, &str) = ("redis-cli", "redis-tools");
const MASTERS: usize = 3;
/// A node of a cluster counts as dead after this many milliseconds of silence.
const NODE_TIMEOUT: &str = "2000";
/// The same for clusters with replicas, where tests wait for a failover.
const SHORT_NODE_TIMEOUT: &str = "750";
/// How long the nodes may take to agree on the state of the cluster.
const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A Redis server that stores nothing on disk.
#[derive(Debug)]
pub struct Redis(Engine);

impl Redis {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// `redis-server` is missing or was not ready within a minute.
    pub fn start() -> Result<Redis, Error> {
        Redis::with(&[])
    }

    /// Starts a server that only accepts TLS, with this certificate and its key in PEM.
    ///
    /// # Errors
    ///
    /// `redis-server` is missing, was built without TLS, or was not ready within a minute.
    pub fn with_tls(certificate: &str, key: &str) -> Result<Redis, Error> {
        let folder = scratch("redis")?;
        let port = Port::free()?;
        let (certificate, key) = tls::write(&folder, certificate, key)?;
        let mut command = command(&folder)?;
        command.args(["--port", "0", "--tls-port", &port.number().to_string()]);
        command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
        command.args(["--tls-auth-clients", "no"]);
        let url = format!("rediss://127.0.0.1:{}", port.number());
        Engine::start(url, port, Watched::new(folder, &command)?, tls::is_ready).map(Redis)
    }

    fn with(more: &[&str]) -> Result<Redis, Error> {
        let folder = scratch("redis")?;
        let port = Port::free()?;
        let mut command = command(&folder)?;
        command.args(["--port", &port.number().to_string()]).args(more);
        let url = format!("redis://127.0.0.1:{}", port.number());
        Engine::start(url, port, Watched::new(folder, &command)?, is_ready).map(Redis)
    }
}

fn command(folder: &Path) -> Result<Command, Error> {
    let mut command = Command::new(program::find(SERVER.0, SERVER.1)?);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
    command.arg(folder);
    Ok(command)
}

impl Deref for Redis {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

/// A Redis Cluster of three masters. If one is down, the slots of the others still work.
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<Redis>,
    replicas: Vec<Redis>,
    // The ports on which the nodes reach each other.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts a cluster without replicas.
    ///
    /// # Errors
    ///
    /// `redis-server` or `redis-cli` is missing, or the masters do not agree within a minute.
    pub fn start() -> Result<RedisCluster, Error> {
        RedisCluster::with(0, NODE_TIMEOUT)
    }

    /// Starts a cluster with one replica per master. If a master is killed, its replica takes its
    /// place within some seconds.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn with_replicas() -> Result<RedisCluster, Error> {
        RedisCluster::with(1, SHORT_NODE_TIMEOUT)
    }

    fn with(replicas: usize, timeout: &str) -> Result<RedisCluster, Error> {
        let client = program::find(CLIENT.0, CLIENT.1)?;
        let count = MASTERS * (1 + replicas);
        let buses = (0..count).map(|_| Port::free()).collect::<Result<Vec<_>, _>>()?;
        let start = |bus: &Port| {
            let bus = bus.number().to_string();
            let mut options = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            options.extend(["--cluster-config-file", "nodes.conf"]);
            options.extend(["--cluster-node-timeout", timeout]);
            options.extend(["--cluster-require-full-coverage", "no"]);
            options.extend(["--repl-diskless-sync-delay", "0"]);
            Redis::with(&options)
        };
        // `redis-cli` makes the first nodes the masters.
        let mut masters = buses.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let mut create = Command::new(client);
        create.args(["--cluster", "create"]);
        create.args(masters.iter().map(|master| format!("127.0.0.1:{}", master.port())));
        create.args(["--cluster-replicas", &replicas.to_string()]);
        run(create.arg("--cluster-yes"))?;
        let replicas = masters.split_off(MASTERS);
        let cluster = RedisCluster { masters, replicas, _buses: buses };
        cluster.agreed()?;
        Ok(cluster)
    }

    /// The address for clients. One master suffices, because it names the others.
    #[must_use]
    pub fn url(&self) -> &str {
        self.masters.first().map_or("", |master| master.url())
    }

    /// The addresses of all masters and replicas.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes().map(|node| node.url().to_owned()).collect()
    }

    /// The initial masters, for tests that kill and restart them. A restarted master joins the
    /// cluster again by itself.
    #[must_use]
    pub fn masters(&self) -> &[Redis] {
        &self.masters
    }

    /// The initial replicas.
    #[must_use]
    pub fn replicas(&self) -> &[Redis] {
        &self.replicas
    }

    /// Waits until every node reports a complete cluster and every replica has its master's data.
    ///
    /// # Errors
    ///
    /// The nodes do not agree within a minute.
    pub fn agreed(&self) -> Result<(), Error> {
        let count = self.nodes().count();
        until(|| self.nodes().all(|node| is_complete(node, count).unwrap_or(false)))
    }

    /// Waits until a replica has taken the place of a master.
    ///
    /// # Errors
    ///
    /// No replica has done so within a minute.
    pub fn failed_over(&self) -> Result<(), Error> {
        let promoted = |node| query(node, "ROLE").is_ok_and(|role| role.contains("master"));
        until(|| self.replicas.iter().any(promoted))
    }

    fn nodes(&self) -> impl Iterator<Item = &Redis> {
        self.masters.iter().chain(&self.replicas)
    }
}

fn until(done: impl Fn() -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + AGREEMENT_TIMEOUT;
    while Instant::now() < deadline {
        if done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Error("the nodes of the Redis Cluster do not agree".to_owned()))
}

fn is_ready(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG\r\n")
}

fn is_complete(node: &Redis, count: usize) -> std::io::Result<bool> {
    let info = query(node, "CLUSTER INFO")?;
    let known = format!("cluster_known_nodes:{count}\r\n");
    let complete = ["cluster_state:ok", "cluster_slots_ok:16384", &known];
    let linked = !query(node, "INFO replication")?.contains("master_link_status:down");
    Ok(linked && complete.iter().all(|line| info.contains(line)))
}

fn query(node: &Redis, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "{command}\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
