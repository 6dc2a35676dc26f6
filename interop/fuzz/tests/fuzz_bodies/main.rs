//! Whole servers and clients that read arbitrary bytes. `cargo xtask fuzz` runs them for longer.

mod client;
mod server;
mod transports;
mod webtransport;
mod world;
