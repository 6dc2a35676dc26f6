//! Engine.IO server on hyper: HTTP long-polling, WebSocket, WebTransport, and the upgrades between
//! them.
//!
//! An [`Engine`] turns HTTP requests into sessions. Each session is a [`Connection`], which the
//! [`Application`] gets in a task of its own. Polling the connection drives it (reading, writing,
//! heartbeat, upgrade); there is no other task, timer or channel per client. A [`Handle`] refers to
//! the same session and can be used from anywhere.
//!
//! The crate does not inspect messages and buffers nothing without a limit. By default every client
//! may connect. The application can refuse clients with [`EngineConfig::allow_request`].
//!
//! # An echo server
//!
//! ```no_run
//! use engineio_server::{Connection, Engine, EngineConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let engine = Engine::new(EngineConfig::default(), |mut connection: Connection| async move {
//!     while let Ok(data) = connection.recv().await {
//!         if connection.send(data).is_err() {
//!             break; // the client reads too slowly, or is gone
//!         }
//!     }
//! });
//! engine.listen("127.0.0.1:3000").await?.join().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Inside another server
//!
//! [`Engine::layer`] puts the engine in front of an axum router or any other tower service,
//! [`Engine::service`] turns it into one, and [`Engine::handle`] answers a single request. The HTTP
//! server around it must support HTTP/1.1 with upgrades, or HTTP/2 (axum supports both), and has
//! its own limits on request heads. [`Engine::listen`] applies the limits of the configuration, and
//! sets TCP_NODELAY, without which small packets wait for each other.
//!
//! # Limits on the cost of a client
//!
//! | resource | limit | when exceeded |
//! |---|---|---|
//! | one message, one polling body | [`max_payload`](EngineConfig::max_payload) | the session ends: close code 1009 on a WebSocket, status 413 on polling |
//! | frames of one WebSocket message | [`max_fragments`](EngineConfig::max_fragments) | close code 1008 |
//! | messages that the client does not read | [`max_queued_packets`](EngineConfig::max_queued_packets), [`max_queued_bytes`](EngineConfig::max_queued_bytes) | [`SendError::Full`] |
//! | messages that the application does not receive | those of one read, or 256 packets of a POST | reading pauses; the next POST waits |
//! | silence of the client | [`ping_interval`](EngineConfig::ping_interval) and [`ping_timeout`](EngineConfig::ping_timeout) | "ping timeout" |
//! | an unfinished upgrade | [`upgrade_timeout`](EngineConfig::upgrade_timeout) | its probe is closed, the session continues |
//! | unauthenticated sessions | [`max_unauthenticated_per_address`](EngineConfig::max_unauthenticated_per_address), off by default | status 429 |
//! | sessions | [`max_sessions`](EngineConfig::max_sessions) | status 503 with `Retry-After` |
//! | the part of its request that a session keeps | [`max_kept_head`](EngineConfig::max_kept_head) | headers are left out; status 414 |
//! | a slow or large request | [`head_timeout`](EngineConfig::head_timeout), [`max_head_size`](EngineConfig::max_head_size), [`body_timeout`](EngineConfig::body_timeout) | the connection, or the session, is closed |
//! | a response that the client does not read | [`write_timeout`](EngineConfig::write_timeout) | the connection is dropped |
//! | a TLS handshake (feature `tls`) | [`head_timeout`](EngineConfig::head_timeout) | the connection is dropped |
//! | requests of one HTTP/2 connection (feature `http2`) | `max_concurrent_streams` | refused with a reset |
//! | requests started and reset on HTTP/2 | 20 that were not processed yet | the connection is closed |
//! | a WebTransport connection without a session (feature `webtransport`) | [`head_timeout`](EngineConfig::head_timeout) for the request, which may have 4096 bytes; then [`upgrade_timeout`](EngineConfig::upgrade_timeout) for the first packet | the connection is dropped |
//! | such connections | 64 per address, 1024 in total; half of them from addresses that were not verified | refused |
//! | streams of a WebTransport connection | those of the protocol: 2 bidirectional and 8 unidirectional ones | blocked |
//! | bytes of a WebTransport connection that were not read, or not acknowledged | 1 MiB in each direction, 512 KiB of one stream from the client | blocked |
//! | a closed WebSocket or WebTransport session whose client does not answer | [`linger`](EngineConfig::linger) | the connection is dropped |
//!
//! Every size limit is checked against the announced length before the bytes are read. An idle
//! session owns its state, its timer and its socket, but no buffer.
//!
//! # Protocol
//!
//! The protocol is Engine.IO revision 4, as in Node's `engine.io` 6.6. Some defects of Node are not
//! reproduced: a body that cannot be decoded gets 400 instead of `ok`, and an invalid WebSocket
//! request gets an error status instead of 101 and a close.
//!
//! Logs go to the `tracing` targets `engineio::engine`, `engineio::session`, `engineio::websocket`,
//! `engineio::webtransport` and `engineio::listen`.
//!
//! # Features
//!
//! - `compression` (default): [`EngineConfig::http_compression`] and
//!   [`EngineConfig::per_message_deflate`]. Without it nothing is compressed, and the options do not
//!   exist.
//! - `tls`: `Engine::listen_tls`, with rustls.
//! - `webtransport`: `Engine::listen_webtransport`, sessions over HTTP/3.
//! - `http2`: HTTP/2 at the listeners, and WebSockets inside it.
//! - `metrics`: `Engine::report_metrics`, which reports [`Engine::stats`] to the `metrics` facade.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod admission;
mod config;
mod connection;
mod drain;
mod engine;
mod error;
mod handshake;
#[cfg(feature = "compression")]
mod http_compression;
#[doc(hidden)]
pub mod internal;
mod listen;
#[cfg(all(test, shuttle))]
mod models;
#[cfg(feature = "compression")]
mod per_message_deflate;
mod proxy;
mod reading;
mod registry;
mod request;
mod response;
mod service;
mod shared;
mod sleep;
mod stall;
mod stats;
mod sync;
mod transport;
mod turn;
mod unauthenticated;

pub use bytes;
pub use config::{Cookie, Cors, EngineConfig, InvalidCookie, SameSite, TurnLimits};
pub use connection::{Connection, Event};
pub use drain::DrainSummary;
pub use engine::{Application, Engine};
pub use engineio_parser::{
    ByteString, Frame, Frames, PacketData, Revision, Transport,
    session::{CloseReason, SendError, Traffic, Unsent},
};
pub use error::{ConnectionError, ErrorContext, Refusal, RequestError};
pub use handshake::{Handshake, PeerAddr, Secure};
pub use http;
#[cfg(feature = "compression")]
pub use http_compression::HttpCompression;
pub use ipnet::IpNet;
#[cfg(feature = "tls")]
pub use listen::tls::serve_tls;
pub use listen::{Listening, serve};
#[cfg(feature = "compression")]
pub use per_message_deflate::PerMessageDeflate;
pub use proxy::ProxyHeader;
pub use registry::generate_sid;
pub use response::{ResponseBody, ServiceBody};
pub use service::{EngineLayer, EngineService, NotFound};
pub use shared::{Handle, Message, Queued};
pub use stats::{CloseStats, DropStats, RefusalStats, SessionStats, Stats};
/// The TLS library of [`Engine::listen_tls`], for its configuration. Its features select the
/// cryptography: add `rustls` to your dependencies with `ring` or `aws-lc-rs`.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
