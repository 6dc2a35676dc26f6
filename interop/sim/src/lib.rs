//! A simulated world: whole servers, the client and a cluster's engine in one process, on virtual
//! time and a simulated network. Everything that goes wrong follows from a seed, so a run can be
//! repeated. One order does not follow from it: a server that closes or pings all its sessions at
//! once does so in the order of a hash table. About one seed in ten therefore differs a little from
//! run to run.
//!
//! Servers and clients are the real ones. Only their connections (`network`) and the way to the engine
//! (`engine`) are simulated. Ids and WebSocket masks are random in every run; nothing depends on
//! their values.

mod client;
mod engine;
mod ledger;
mod network;
mod node;
mod payload;
mod plan;
mod random;
mod topics;
mod world;

use std::{fmt, time::Duration};

pub use ledger::Counts;

const NAMESPACES: [&str; 2] = ["/", "/chat"];

/// The namespaces in which clients send their events again if no ack arrives: until one arrives, and
/// a limited number of times. To the ledger their numbers follow those of the others.
const RETRIED: [&str; 2] = ["/retried", "/limited"];

/// The result of a run without a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The numbers of sessions, events and acks.
    pub counts: Counts,
    /// The virtual time that has passed.
    pub time: Duration,
    /// A hash of the whole trace.
    pub trace: u64,
}

/// A violated invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// A sentence on the violated invariant.
    pub invariant: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.invariant)
    }
}

impl std::error::Error for Violation {}

/// Options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the whole trace is printed at once.
    pub prints: bool,
    /// The nth event that a client receives is lost. The run must report it.
    pub loses: Option<u64>,
    /// Whether nodes neither crash, nor are drained, nor sleep. Such a run is exactly the same each
    /// time.
    pub nodes_stay: bool,
    /// The workloads and faults: 0 for those of the first seeds, 1 with the first extras, 2 with all.
    /// Seeds that were found with fewer of them keep their runs.
    pub workloads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { prints: false, loses: None, nodes_stay: false, workloads: WORKLOADS }
    }
}

/// The largest value of [`Options::workloads`].
pub const WORKLOADS: usize = 2;

/// Runs the world of a seed.
///
/// # Errors
///
/// Returns the first violated invariant.
pub fn run(seed: u64, options: Options) -> Result<Outcome, Violation> {
    let failed = |invariant: String| Violation { seed, invariant, trace: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    runtime.block_on(world::run(seed, options))
}
