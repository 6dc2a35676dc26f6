//! A Socket.IO server (protocol revision 5 over Engine.IO revision 4) with namespaces, rooms,
//! acknowledgements and broadcasts. The standard JavaScript client connects to it unchanged.
//! Clients of Socket.IO v2 are served if [`EngineConfig::allow_eio3`] is set.
//!
//! ```no_run
//! use serde_json::json;
//! use socketio_server::{Data, Server, Socket};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let io = Server::new();
//!     io.on_connection(|socket: Socket| async move {
//!         socket.emit("request", &json!({ "hi": 1 }))?;
//!         socket.broadcast().emit("joined", socket.id())?;
//!         Ok(())
//!     });
//!     io.on("upper", |Data(text): Data<String>| async move { text.to_uppercase() });
//!     io.listen("127.0.0.1:3000").await?;
//!     Ok(())
//! }
//! ```
//!
//! # Handlers
//!
//! A handler is a function or closure, async or plain, with up to six [extractors](Extract) as
//! arguments. The kind of handler decides which extractors it may take. An [event](EventContext)
//! handler takes [`Socket`], [`Data`], [`EventName`], [`Args`], [`Ack`], [`Auth`], [`State`],
//! [`Extension`] or a type of your own. A [disconnection](DisconnectContext) handler takes
//! [`DisconnectReason`] in place of the arguments. An extractor may be wrapped in a
//! `Result`, and in an `Option` if it [may be missing](MaybeExtract). The value that a handler
//! returns is [sent](AckValue) as the ack, if the client asked for one. A handler that returns `()`
//! sends no ack. A typed [`Event`] fixes the
//! types of the arguments and of the ack in one constant ([`Namespace::handle`],
//! [`Socket::emit_event`]). Handlers are declared once per namespace, or for one socket
//! ([`Socket::on`]). If an event has several handlers, all of them run, and the first ack is sent.
//!
//! A handler is called for each event, so it keeps what it captures and clones it for each future:
//!
//! ```
//! # use std::sync::{Arc, Mutex};
//! # use socketio_server::{Data, Server};
//! # let io = Server::new();
//! let words = Arc::new(Mutex::new(Vec::new()));
//! io.on("word", move |Data(word): Data<String>| {
//!     let words = words.clone();
//!     async move { words.lock().unwrap().push(word) }
//! });
//! ```
//! `off` removes the handlers of an event, and a [`ListenerHandle`] removes a single one.
//!
//! # Order and concurrency
//!
//! One task drives a client: its connection, its namespaces and its handlers. There is no task per
//! socket or per event.
//!
//! - The handlers of a socket are *started* in the order of its events. Each runs up to its first
//!   await that has to wait. Up to [`max_in_flight`](ServerConfig::max_in_flight) handlers overlap.
//!   If the limit is 1, an event is handled only after the handlers of the event before it have
//!   finished.
//! - Handlers of one client never run at the same instant. Handlers of different clients do. A
//!   handler that *waits* delays no other client. A handler that *computes* without an await blocks
//!   its worker thread, and with it every client whose task or I/O needs that thread. On a runtime
//!   with one thread these are all clients. On any other runtime they may be all clients too,
//!   because tokio does not promise that an idle worker takes over. See
//!   [below](#handlers-that-compute).
//! - Events that one task sends to a socket arrive in that order. Broadcasts keep the order of each
//!   sender.
//! - Once either side has disconnected a socket, no further event of it is handled. Running
//!   handlers finish, and can [watch](Socket::disconnected) for the disconnection. The
//!   disconnection handlers run exactly once.
//! - User code is never called while a lock is held, so a handler may call any function of this
//!   crate.
//!
//! # Handlers that compute
//!
//! Work that takes longer than about 100 µs between two awaits (hashing a password, compressing,
//! parsing a large JSON document, calling a blocking library) belongs in
//! [`spawn_blocking`](tokio::task::spawn_blocking) or, on a runtime with several threads, in
//! `tokio::task::block_in_place`. A loop may call `tokio::task::yield_now` instead. More worker
//! threads make a long computation less noticeable, but guarantee nothing.
//!
//! ```
//! use socketio_server::{Data, HandlerError, Server};
//!
//! fn digest(text: &str) -> u64 {
//!     text.bytes().fold(7, |sum, byte| sum.rotate_left(5) ^ u64::from(byte)) // imagine a second of it
//! }
//!
//! let io = Server::new();
//! io.on("digest", |Data(text): Data<String>| async move {
//!     let digest = tokio::task::spawn_blocking(move || digest(&text)).await?;
//!     Ok::<_, HandlerError>(digest)
//! });
//! ```
//!
//! # Backpressure
//!
//! Every queue and table has a limit.
//!
//! | resource | limit | behavior at the limit |
//! |---|---|---|
//! | messages that a client has not read | `max_queued_packets`, `max_queued_bytes` of [`EngineConfig`] | `emit` returns [`EmitError::Full`], and [`Socket::ready`] waits; broadcasts follow [`Overflow`]; volatile events are dropped |
//! | events that wait for a handler | [`ServerConfig::max_inbox_bytes`] | the server stops reading from the client, but still detects its disconnection; awaited acks may time out |
//! | acks that a client has not read | half of the outgoing queue | no further event of the client is started; the values that handlers return wait |
//! | work of one connection per turn | [`EngineConfig::turn`] | its task yields to other connections |
//! | concurrent handlers of a socket | [`ServerConfig::max_in_flight`] | events wait |
//! | concurrent handlers of a connection | [`ServerConfig::max_handlers`] | the server stops reading from the client |
//! | awaited acks | `max_pending_acks` of [`Limits`], plus `max_queued_packets` events that wait for room | `emit_with_ack` waits, within its timeout; then [`AckError::TooManyPending`], or in a broadcast a missing ack |
//! | namespaces, attachments, nesting, names | [`Limits`] | a typed error, a refusal, or the end of the connection |
//! | namespaces created by clients' requests | [`ServerConfig::max_dynamic_namespaces`] | a refusal |
//! | event rate of a socket | [`ServerConfig::rate_limit`] (none by default) | the event is dropped, reported and acknowledged with an error; or the client is disconnected |
//! | rooms of a socket, bytes of a room's name | [`ServerConfig::max_rooms`], [`max_room_name`](ServerConfig::max_room_name) | [`JoinError`] |
//! | bytes of the data in CONNECT packets | [`ServerConfig::max_auth_bytes`] | a refusal |
//! | time that a connection may stay without a namespace | [`ServerConfig::connect_timeout`] | the connection is closed |
//!
//! # Acknowledgements
//!
//! Every awaited acknowledgement has one outcome, at its deadline at the latest
//! ([`ack_timeout`](ServerConfig::ack_timeout), or `timeout(..)`): the value, [`AckError::Timeout`]
//! or [`AckError::Disconnected`]. Acks are resolved as soon as they are read. They never queue
//! behind events that wait for a handler. A broadcast returns the acks that arrived even if some
//! are missing ([`BroadcastAckError::Partial`]).
//!
//! # Errors
//!
//! A handler's error, a failed extraction or a panic affects one event only. If the client waits
//! for an ack, it gets `{"error": message}`. The error is passed to [`Namespace::on_error`], or
//! logged if there is no such handler. The message is "internal error", so that `?` discloses
//! nothing. Errors that were [made for the client](HandlerError::public) carry their own message,
//! and a client whose arguments have the wrong type gets "invalid arguments". The connection of a
//! client that breaks the protocol is closed, and its sockets see "forced close", or "parse error"
//! if the data is not even an Engine.IO packet. `RUST_LOG=socketio=debug` logs connects, refusals
//! and disconnections too.
//!
//! # What it never does
//!
//! The server never blocks a thread, never waits for a slow client, never trusts lengths or counts
//! sent by a peer, and contains no `unsafe`. After a socket is disconnected and its handlers have
//! finished, the server keeps no state of it, except with [connection state recovery](Recovery),
//! until the session expires.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `compression` (default) | [`HttpCompression`] of polling responses and [`PerMessageDeflate`] of WebSocket messages |
//! | `msgpack` (default) | [`Parser::MsgPack`], the packets of `socket.io-msgpack-parser` |
//! | `tls` | [`Server::listen_tls`], with rustls |
//! | `http2` | HTTP/2 at the listener, and WebSockets inside it |
//! | `webtransport` | [`Server::bind_webtransport`]: WebTransport over HTTP/3 (enables `tls`) |
//! | `metrics` | [`Server::report_metrics`]: the counters of [`Server::stats`] on the facade `metrics` |
//! | `contract` | [`Contract`]: typed events as an AsyncAPI 3 document or as TypeScript |
//! | `admin` | [`Admin`]: the server side of the page of `@socket.io/admin-ui` |
//! | `testing` | [`testing::TestClient`]: an in-memory client for tests of handlers |

#![cfg_attr(docsrs, feature(doc_cfg))]

/// The crates whose types are in signatures of this crate: [`Binary`] holds [`bytes::Bytes`],
/// [`Handshake::headers`] returns an [`http::HeaderMap`], and [`EngineLayer`] implements
/// [`tower_layer::Layer`].
pub use {bytes, http, tower_layer};

#[cfg(feature = "admin")]
mod admin;
mod client;
mod config;
mod driver;
mod error;
mod handlers;
#[cfg(all(test, shuttle))]
mod models;
mod namespace;
mod server;
mod socket;
mod stats;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

#[cfg(feature = "admin")]
pub use admin::{Admin, AdminError};
pub use config::client_files::ClientFiles;
pub use config::rate_limit::{Excess, Rate, RateLimit};
pub use config::recovery::Recovery;
pub use config::{Overflow, ServerConfig};
pub use engineio_server::{
    ConnectionError, Cookie, Cors, DrainSummary, DropStats, Engine, EngineConfig, EngineLayer,
    EngineService, ErrorContext, Handle, Handshake, InvalidCookie, IpNet, Listening, PeerAddr,
    ProxyHeader, Refusal, RequestError, Revision, SameSite, Secure, Transport, TurnLimits,
    generate_sid, serve,
};
#[cfg(feature = "compression")]
pub use engineio_server::{HttpCompression, PerMessageDeflate};
pub use engineio_server::{Queued, Unsent};
#[cfg(feature = "tls")]
pub use engineio_server::{rustls, serve_tls};
pub use error::{
    AckError, BroadcastAckError, ClusterError, DeliveryError, DisconnectReason, EmitError,
    HandlerError, JoinError, PatternError, ServerSideError,
};
pub use handlers::{
    Auth, ConnectContext, Context, Data, DisconnectContext, DisconnectDescription, EventContext,
    EventMiddlewareContext, EventName, Extension, Extract, Handler, ListenerHandle, MaybeExtract,
    Registration, Rewrite, State, TypedHandler,
};
pub use handlers::{Failure, Stage};
pub use namespace::broadcast::Broadcast;
pub use namespace::cluster::{FetchError, RemoteEmitter, RemoteSocket, ServerEvent};
pub use namespace::parent::{ParentBroadcast, ParentNamespace};
pub use namespace::rule::{NamespaceRequest, NamespaceVerdict, Params};
pub use namespace::{
    Namespace,
    room_change::{RoomChange, RoomChanges},
};
pub use server::Server;
pub use socket::Socket;
pub use socket::ack::Ack;
pub use socket::data::WeakSocket;
pub use socket::emitter::Emitter;
pub use socketio_adapter::{
    ClusterAdapter, ClusterLimits, IntoRooms, MemoryCluster, MemoryLog, Room,
};
pub use socketio_core::{AckValue, IntoReply, Json, Outcome, PublicError};
#[cfg(feature = "contract")]
pub use socketio_parser::Contract;
pub use socketio_parser::{
    Args, ArgsError, Binary, EncodeError, Event, Limits, Nsp, NspError, Parser, RawJson, Value,
    Values, args, value,
};
pub use stats::{
    AckStats, ClusterStats, DisconnectStats, EventStats, HandlerStats, RecoveryLogStats,
    RecoveryStats, Stats,
};
