//! One Engine.IO session: the I/O around [`engineio_parser::session::Session`].

mod config;
mod dial;
mod error;
mod http;
mod message_transport;
mod options;
mod session;
mod unwritten;
mod websocket;
#[cfg(feature = "webtransport")]
mod webtransport;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::config::query_pairs;
pub(crate) use self::{
    config::EngineConfig,
    session::{Closed, Engine, EngineEvent, Order},
};
pub use self::{
    dial::{BoxStream, ByteStream, Connecting, Connector, Proxy, TcpConnector, Tls},
    error::{EngineError, RequestError},
    options::EngineOptions,
};
