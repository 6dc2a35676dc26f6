//! The Engine.IO session: one state machine for both roles and both revisions. It does no I/O and reads no clock.
//!
//! A [`Session`] knows what a connection has to do; a *shell* moves the bytes. The same machine serves polling, WebSocket
//! and WebTransport, and carries the order of messages across a switch between them: nothing leaves its queue until a
//! transport that is able to carry it asks for it.
//!
//! # The run loop
//!
//! 1. Feed what happened with [`Session::handle_input`], and the application's wishes with [`Session::send`] and
//!    [`Session::close`].
//! 2. While a transport is writable, drain [`Session::poll_transmit`] for it. On polling that is a request:
//!    `PollStarted`, wait while not [`Session::has_transmit`], drain, `PollFinished`, and only then answer (the client
//!    does the same with `PushStarted` and its POST).
//! 3. Drain [`Session::poll_output`] until `None`. Step 2 may have added to it: the last frame of a closing session ends it.
//! 4. Sleep until [`Session::poll_timeout`], then call [`Session::handle_timeout`]; go to 2.
//!
//! Any call may give another transport something to carry: the `3probe` that leaves on a WebSocket ends the GET that
//! waits. So a shell with several tasks wakes them all after each call.
//!
//! After [`Output::Closed`] step 2 is done once more: a request that still waits gets its farewell. Then drop the session.
//!
//! Every method returns at once, so that a session can live behind a short lock. An idle session holds no memory for its
//! queue or its outputs after its next ping.
//!
//! # The upgrade
//!
//! ```text
//!        client                    polling   new transport                   server
//!
//!   Idle  ProbeStarted ───────────────────────── 2probe ──────────►  ProbeStarted  Idle
//!    │                                                                               │
//!  Probing                                                                        Probing
//!    │                         ◄──────────────── 3probe ───────────                  │
//!    │                         ◄── 6 ── (or what is queued: ends the waiting GET;    │
//!    │                                   every later GET within 100 ms)              │
//!  Pausing: no new request,                                                          │
//!    │      open ones end                                                            │
//!    │    Upgraded ───────────────────────────── 5 ──────────────►  Upgraded         │
//!    ▼                                                                               ▼
//!   new transport ◄───────────────────── queue of both ends ───────────────► new transport
//! ```
//!
//! Any other packet on the new transport, its loss, or [`Config::upgrade_timeout`] leads back to Idle with
//! [`Output::ProbeFailed`], and the session goes on polling. A client that is pausing learns from
//! [`Violation::NotPolling`] that it must not poll again until then. The server also takes a `5` without a probe.
//!
//! # The heartbeat
//!
//! In revision 4 the server pings [`Config::ping_interval`] after the handshake and after each pong; in revision 3 the client
//! does. Silence ends the session with "ping timeout". Heartbeat packets of the wrong direction end a server's session
//! with "transport error"; a client ignores them, as Node's does.
//!
//! # Example
//!
//! A WebSocket session whose client says hello:
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use engineio_parser::{
//!     Data, Frame, Packet, PacketType, Revision, Transport,
//!     session::{Config, Input, Output, Session},
//! };
//!
//! let now = Instant::now();
//! let config = Arc::new(Config::default());
//! let mut session =
//!     Session::server(now, config, Revision::V4, Transport::WebSocket, "lv_VI97HAXpY6yYWAAAC".into());
//!
//! // The handshake comes first.
//! let open = session.poll_transmit(Transport::WebSocket, usize::MAX).unwrap();
//! assert!(open.payload().starts_with(br#"0{"sid":"lv_VI97HAXpY6yYWAAAC""#));
//!
//! // A message arrives, and is answered.
//! let hello = Packet::text(PacketType::Message, "hello");
//! session.handle_input(now, Input::Packet(Transport::WebSocket, hello))?;
//! while let Some(output) = session.poll_output() {
//!     if let Output::Message(Data::Text(text)) = output {
//!         assert_eq!(text, "hello");
//!         session.send(Frame::text(PacketType::Message, "welcome").into())?;
//!     }
//! }
//! let answer = session.poll_transmit(Transport::WebSocket, usize::MAX).unwrap();
//! assert_eq!(answer.payload(), "4welcome");
//!
//! // The shell sleeps until then. The first thing due is a ping.
//! let due = session.poll_timeout().unwrap();
//! session.handle_timeout(due);
//! assert_eq!(session.poll_transmit(Transport::WebSocket, usize::MAX).unwrap().payload(), "2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod control;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod heartbeat;
mod machine;
mod polling;
mod queue;
mod timer;
mod traffic;
mod upgrade;

pub use config::Config;
pub use event::{CloseReason, Input, Output, Role, SendError, Violation};
pub use machine::Session;
pub use traffic::Traffic;
