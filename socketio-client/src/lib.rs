//! A Socket.IO client for tokio: namespaces, acknowledgements, reconnection, connection state
//! recovery.
//!
//! It connects to servers of Socket.IO v3 and v4 over HTTP long-polling, WebSocket and WebTransport
//! (feature `webtransport`). The package is named `socketio-async-client`, its library
//! `socketio_client`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let io = socketio_server::Server::new();
//! # io.of("/chat").on("say", |socketio_server::Data(text): socketio_server::Data<String>| text.len());
//! # let url = format!("http://{}/chat", io.bind("127.0.0.1:0").await?.local_addr()?);
//! let chat = socketio_client::connect(&url).await?; // "http://localhost:3000/chat"
//! chat.emit("typing", &())?;
//! let length: usize = chat.emit_with_ack("say", "hello").await?;
//! assert_eq!(length, 5);
//! # Ok(()) }
//! ```
//!
//! - [`connect`] returns a [`Socket`] as soon as the server has accepted it. [`Manager`] is one
//!   connection with its namespaces, which reconnects whenever it is lost. [`Client`] finds the
//!   connection by URL, as Node's `io()` does.
//! - Handlers are async or plain functions. Their arguments are extractors: [`Data`], [`Ack`], [`Socket`]
//!   and others ([`Extract`]). The return value of a handler is the ack for the server.
//! - A tuple is a list of arguments. Any other value is one argument. [`Binary`] may be nested
//!   anywhere.
//!
//! Each connection has one task, which also runs the handlers. Handlers start in the order of their
//! events and overlap, up to [`max_in_flight`](SocketConfig::max_in_flight), so a handler that
//! *waits* does not delay the others. A handler that computes for long blocks its worker thread,
//! and with it this connection and perhaps others. Use `tokio::task::spawn_blocking` for such work.
//! The task ends when the last handle ([`Manager`], [`Socket`], [`Events`]) is dropped.
//!
//! Events that the server sends right after the connection may arrive before the application has
//! added a handler. To miss none, add the handlers before the socket connects:
//!
//! ```
//! use socketio_client::{ClientConfig, Data, Manager, Socket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let io = socketio_server::Server::new();
//! # io.on("say", |socket: socketio_server::Socket, Data2(text): Data2<String>| async move {
//! #     socket.emit("said", &("you", &text))?;
//! #     Ok(text.len())
//! # });
//! # use socketio_server::Data as Data2;
//! # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
//! let manager = Manager::with_config(&url, ClientConfig::default().auto_connect(false))?;
//! let socket = manager.socket("/");
//! socket.on("said", |Data((who, text)): Data<(String, String)>| async move {
//!     println!("{who}: {text}");
//! });
//! socket.on("id?", |socket: Socket| async move { socket.id().unwrap_or_default() }); // the ack for the server
//! socket.connect().await?;
//! let length: usize = socket.emit_with_ack("say", "hello").await?;
//! assert_eq!(length, 5);
//! # Ok(()) }
//! ```
//!
//! Programs without an async runtime use the module `blocking` (feature `blocking`).
//!
//! Every queue is bounded. Opening a connection, joining a namespace and every awaited ack have a
//! deadline. [`ClientConfig`], [`SocketConfig`] and [`EngineOptions`] set the limits.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `msgpack` (default) | [`Parser::MsgPack`], the packets of `socket.io-msgpack-parser` |
//! | `blocking` | [`blocking::Socket`], for programs without an async runtime |
//! | `rustls-ring` or `rustls-aws-lc`, and `native-roots` or `webpki-roots` | TLS by rustls, see [`Tls`] |
//! | `rustls` | [`Tls::rustls`]: rustls with your own configuration |
//! | `native-tls` | TLS by the operating system's library |
//! | `webtransport` | [`Transport::WebTransport`]: HTTP/3 over QUIC (enables `rustls-ring`) |
//!
//! Without a feature for TLS, `https` and `wss` URLs are refused.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
mod config;
mod driver;
mod engine;
mod error;
mod manager;
mod reconnection;
mod registration;
mod request;
mod shared;
mod socket;
mod sync;
mod time;
mod url;

pub use engineio_parser::Transport;
pub use socketio_core::{AckValue, IntoReply, Json, Outcome, PublicError};
pub use socketio_parser::{
    Args, ArgsError, Binary, EncodeError, Event, Limits, Nsp, NspError, Object, Parser, Value,
    Values, args, value,
};

pub use self::{
    client::{Client, connect, connect_with},
    config::{ClientConfig, SocketConfig},
    error::{
        AckError, ClientError, ConnectError, DisconnectReason, EmitError, HandlerError, NextError,
    },
    manager::{Manager, ManagerEvent},
    reconnection::Reconnection,
    registration::{ListenerHandle, Registration},
    socket::{
        Ack, Emitter, Events, Next, ReceivedEvent, Socket,
        handlers::{
            ConnectContext, ConnectErrorContext, Context, Data, DisconnectContext,
            DisconnectDescription, EventContext, EventName, Extract, Handler, MaybeExtract,
            TypedHandler,
        },
    },
    url::UrlError,
};

pub use self::engine::{
    BoxStream, ByteStream, Connecting, Connector, EngineError, EngineOptions, Proxy, RequestError,
    TcpConnector, Tls,
};
#[cfg(feature = "native-tls")]
pub use tokio_native_tls::native_tls;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
