//! Whole servers and clients that read arbitrary bytes. `cargo xtask fuzz` runs them for longer.

#[path = "../../../../engineio-server/tests/behaviour/support/certificate.rs"]
mod certificate;
mod client;
mod server;
mod transports;
mod webtransport;
mod world;
