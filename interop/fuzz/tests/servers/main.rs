//! Whole servers that read arbitrary bytes. `cargo xtask fuzz` runs them for longer.

#[path = "../../../../engineio-server/tests/behaviour/support/certificate.rs"]
mod certificate;
mod server;
mod transports;
mod webtransport;
mod world;
