//! The client against servers in processes of their own: two generations of Node's, and this
//! project's. `cargo xtask test client` installs and builds them, and runs this program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod acks;
#[cfg(feature = "blocking")]
mod blocking;
mod bounds;
mod disconnections;
mod events;
mod final_events;
mod leaks;
mod lost_connections;
mod namespaces;
mod options;
mod recovery;
mod restarts;
mod siocat;
mod support;
