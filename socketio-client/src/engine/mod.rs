//! One Engine.IO session: the I/O around [`engineio_parser::session::Session`].

mod address;
mod ahead;
mod backlog;
mod body;
mod config;
mod connector;
mod cookies;
mod dial;
mod environment;
mod error;
mod event;
mod http;
mod http_connection;
mod options;
mod proxy;
mod requester;
mod shell;
mod state;
mod tls;
mod websocket;

pub(crate) use self::{
    backlog::Order,
    config::EngineConfig,
    event::{Closed, EngineEvent},
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
