//! One Engine.IO session: the I/O around [`engineio_parser::session::Session`].

mod address;
mod ahead;
mod body;
mod config;
mod connector;
mod cookies;
mod dial;
mod environment;
mod error;
mod event;
mod held;
mod http;
mod http_connection;
mod lane;
mod options;
mod proxy;
mod shell;
mod state;
mod tls;
mod websocket;

pub(crate) use self::{
    config::EngineConfig,
    event::{Closed, EngineEvent},
    held::Order,
    shell::Engine,
};
pub use self::{
    connector::{BoxStream, ByteStream, Connecting, Connector, TcpConnector},
    error::{EngineError, RequestError},
    options::EngineOptions,
    proxy::Proxy,
    tls::Tls,
};

#[cfg(test)]
pub(crate) use self::config::query_pairs;

#[cfg(test)]
mod tests;
