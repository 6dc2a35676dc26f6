//! A Socket.IO server (protocol revision 5 over Engine.IO revision 4): namespaces, rooms, acknowledgements, broadcasts.
//! The JavaScript client cannot tell it from the reference server. Clients of Socket.IO v2 are served where
//! [`EngineConfig::allow_eio3`] says so.
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
//! A handler is an async function of up to six [extractors](Extract): [`Socket`], [`Data`], [`Auth`], [`State`],
//! [`Extension`], [`EventName`], [`Args`], [`Ack`], [`DisconnectReason`], a type of your own, or a `Result` of these, or an
//! `Option` where it [may be missing](MaybeExtract). What it returns [answers](Answer) the acknowledgement the client asked
//! for; one that returns `()` does not answer. A typed [`Event`] fixes arguments and answer in one constant
//! ([`Namespace::handle`], [`Socket::emit_event`]). Handlers are declared once per namespace, or for one socket ([`Socket::on`]); several of one
//! event all run, and the first answer wins.
//!
//! # Order and concurrency
//!
//! One task drives a client: its connection, its namespaces, its handlers. There is no task per socket or per event.
//!
//! - Handlers of a socket are *started* in the order of its events, each up to its first await that waits. They overlap up
//!   to [`max_in_flight`](ServerConfig::max_in_flight); with 1, an event is looked at once the one before it is done.
//! - Handlers of one client never run at the same instant, those of different clients do. A handler that *waits* holds
//!   nobody up. One that *computes* without an await holds up its worker thread, and so every client whose task or I/O
//!   waits for that thread: all of them on a runtime of one thread, and maybe all of them on any other, as tokio does not
//!   promise that an idle worker takes over. See [below](#handlers-that-compute).
//! - What one task sends to a socket arrives in that order. A broadcast is in order per sender.
//! - Once a socket is disconnected, by either side, none of its events is handled any more. Handlers that run finish, and
//!   can [watch](Socket::disconnected) for it; those of its disconnection run exactly once.
//! - User code is never called while a lock is held: anything may be called from anywhere.
//!
//! # Handlers that compute
//!
//! Anything that takes longer than some 100 µs between two awaits (hashing a password, compressing, a large JSON document, a
//! blocking library) belongs into [`spawn_blocking`](tokio::task::spawn_blocking), or, on a runtime of several threads, into
//! `tokio::task::block_in_place`. A loop may call `tokio::task::yield_now` instead. More worker threads make a long
//! computation less noticeable, but give no guarantee.
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
//! Nothing grows without a bound.
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | messages a client does not read | `max_queued_packets`, `max_queued_bytes` of [`EngineConfig`] | `emit`: [`EmitError::Full`], and [`Socket::ready`] waits; broadcasts: [`Overflow`]; volatile: dropped |
//! | events that wait for a handler | [`ServerConfig::max_inbox_bytes`] | its client is not read from, but still watched; awaited answers may time out |
//! | answers a client does not read | half of the same queue | no event of it starts; what a handler returns waits |
//! | work of one connection before others get their turn | [`EngineConfig::turn`] | its task yields |
//! | handlers at once | [`ServerConfig::max_in_flight`] | events wait |
//! | awaited acknowledgements | `max_pending_acks` of [`Limits`], and as many events that wait for room as `max_queued_packets` | `emit_with_ack` waits, within its timeout; then [`AckError::TooManyPending`] |
//! | namespaces, attachments, nesting, names | [`Limits`] | a typed error, a refusal, or the end of the connection |
//! | namespaces that clients brought about | [`ServerConfig::max_dynamic_namespaces`] | a refusal |
//! | how fast a socket sends | [`ServerConfig::rate_limit`] (none by default) | dropped, told of and answered; or disconnected |
//! | rooms of a socket, bytes of a room's name | [`ServerConfig::max_rooms`], [`max_room_name`](ServerConfig::max_room_name) | [`JoinError`] |
//! | bytes of what clients send with CONNECT | [`ServerConfig::max_auth_bytes`] | a refusal |
//! | a connection without a namespace | [`ServerConfig::connect_timeout`] | closed |
//!
//! # Acknowledgements
//!
//! Every awaited acknowledgement has one outcome, at the latest at its deadline
//! ([`ack_timeout`](ServerConfig::ack_timeout), or `timeout(..)`): the value, [`AckError::Timeout`], or
//! [`AckError::Disconnected`]. Answers are resolved as they are read, never behind events that wait. A broadcast collects
//! the answers that came ([`BroadcastAckError::Partial`]).
//!
//! # Errors
//!
//! A handler's error, a failed extraction and a panic concern one event: the client gets `{"error": message}` where it
//! waits for an answer, and [`Namespace::on_error`] or the log is told. The message is "internal error", so that `?` lets
//! nothing out, but for errors that were [made for the client](HandlerError::public), those of its arguments among them. A client that
//! breaks the protocol is closed; its sockets see "forced close". `RUST_LOG=socketio=debug` logs the rest.
//!
//! # What it never does
//!
//! It never blocks a thread, never waits for a slow client, never trusts a peer's lengths or counts, and has no `unsafe`.
//! It holds no state about a socket that is gone.

mod ack;
mod ack_room;
mod auth;
mod broadcast;
mod client_files;
mod cluster;
mod config;
mod data;
mod delivery;
mod dispatch;
mod driver;
mod emitter;
mod error;
mod hub;
mod keeping;
mod listeners;
mod model;
mod namespace;
mod outgoing;
mod parent;
mod rate;
mod recovery;
mod registry;
mod reliable;
mod rule;
mod server;
mod shared_log;
mod socket;
mod stats;
mod stored;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod typed;
mod waiter;

pub use ack::Ack;
pub use broadcast::Broadcast;
pub use client_files::ClientFiles;
pub use cluster::{FetchError, RemoteEmitter, RemoteSocket, ServerEvent};
pub use config::{Overflow, ServerConfig};
pub use data::WeakSocket;
pub use dispatch::{
    Auth, Data, DisconnectDescription, EventName, Extension, Extract, Handler, MaybeExtract,
    Rewrite, State, TypedHandler,
};
pub use emitter::Emitter;
pub use engineio_server::{
    ConnectionError, Cookie, Cors, Drained, Dropped, EngineConfig, EngineLayer, EngineService,
    ErrorContext, Handle, Handshake, InvalidCookie, IpNet, Listening, PeerAddr, ProxyHeader,
    Refusal, RequestError, SameSite, Transport, serve,
};
#[cfg(feature = "tls")]
pub use engineio_server::{rustls, serve_tls};
pub use error::{
    AckError, BroadcastAckError, ClusterError, DeliveryError, DisconnectReason, EmitError,
    HandlerError, JoinError, PatternError, ServerSideError,
};
pub use model::{Context, Failure, Namespace, Socket, Stage};
pub use parent::{ParentBroadcast, ParentNamespace};
pub use rate::{Excess, RateLimit};
pub use recovery::Recovery;
pub use rule::{NamespaceRequest, NamespaceVerdict, Params};
pub use server::Server;
pub use socketio_adapter::{
    ClusterAdapter, ClusterLimits, Flags, IntoRooms, MemoryCluster, MemoryLog, Room, Selection,
};
#[cfg(feature = "asyncapi")]
pub use socketio_parser::AsyncApi;
pub use socketio_parser::{
    Answer, Args, ArgsError, Binary, EncodeError, Event, IntoReply, Json, Limits, Nsp, Outcome,
    Parser, PublicError, RawJson, Value, Values, args, value,
};
pub use stats::{
    Acks, ClusterStats, Disconnected, Events, Handlers, Recoveries, RecoveryLog, Stats,
};
