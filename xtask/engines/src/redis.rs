//! Redis, alone and as a Redis Cluster.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    engine::Engine,
    error::{Error, run},
    port::Port,
    program,
    watched::{Watched, scratch},
};

const SERVER: (&str, &str) = ("redis-server", "redis-server");
const CLIENT: (&str, &str) = ("redis-cli", "redis-tools");
const MASTERS: usize = 3;
/// How long the masters may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis server that keeps nothing on disk.
#[derive(Debug)]
pub struct Redis(Engine);

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// `redis-server` is missing or does not answer.
    pub fn start() -> Result<Redis, Error> {
        Redis::with(&[])
    }

    fn with(more: &[&str]) -> Result<Redis, Error> {
        let mut command = Command::new(program::find(SERVER.0, SERVER.1)?);
        let folder = scratch("redis")?;
        let port = Port::free()?;
        command.args(["--port", &port.number().to_string(), "--bind", "127.0.0.1", "--dir"]);
        command.arg(&folder).args(["--save", "", "--appendonly", "no"]).args(more);
        let url = format!("redis://127.0.0.1:{}", port.number());
        let process = Watched::new(folder, &command)?;
        Engine::start(url, port, process, answers).map(Redis)
    }
}

impl Deref for Redis {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

/// A Redis Cluster of three masters without replicas. When one is down, the slots of the others still work.
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<Redis>,
    // Their ports for each other.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// `redis-server` or `redis-cli` is missing, or the masters do not agree within a minute.
    pub fn start() -> Result<RedisCluster, Error> {
        let client = program::find(CLIENT.0, CLIENT.1)?;
        let buses = (0..MASTERS).map(|_| Port::free()).collect::<Result<Vec<_>, _>>()?;
        let start = |bus: &Port| {
            let bus = bus.number().to_string();
            let mut options = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            options.extend(["--cluster-config-file", "nodes.conf"]);
            options.extend(["--cluster-node-timeout", "2000"]);
            options.extend(["--cluster-require-full-coverage", "no"]);
            Redis::with(&options)
        };
        let masters = buses.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let mut create = Command::new(client);
        create.args(["--cluster", "create"]);
        create.args(masters.iter().map(|master| format!("127.0.0.1:{}", master.port())));
        run(create.arg("--cluster-yes"))?;
        let cluster = RedisCluster { masters, _buses: buses };
        cluster.agreed()?;
        Ok(cluster)
    }

    /// What a client connects to: one of the masters, which names the others.
    #[must_use]
    pub fn url(&self) -> &str {
        self.masters.first().map_or("", |master| master.url())
    }

    /// All of them.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.masters.iter().map(|master| master.url().to_owned()).collect()
    }

    /// The masters, to be killed and restarted one by one. One that was restarted takes its place again by itself.
    #[must_use]
    pub fn masters(&self) -> &[Redis] {
        &self.masters
    }

    /// Waits until every master says that the cluster is complete.
    ///
    /// # Errors
    ///
    /// They do not within a minute.
    pub fn agreed(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.masters.iter().all(|master| agrees(master).unwrap_or(false)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error("the masters of the Redis Cluster do not agree".to_owned()))
    }
}

fn answers(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG\r\n")
}

fn agrees(master: &Redis) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", master.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"CLUSTER INFO\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(["cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384"]
        .iter()
        .all(|line| answer.contains(line)))
}
