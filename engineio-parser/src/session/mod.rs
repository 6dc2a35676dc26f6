//! The Engine.IO session: one state machine for both roles and both revisions. It does no I/O and
//! reads no clock.
//!
//! A [`Session`] decides what a connection has to do; a *shell* moves the bytes. The same machine
//! serves polling, WebSocket and WebTransport. It keeps messages in order across a switch of
//! transports, because no frame leaves the queue until a transport that can carry it asks for it.
//!
//! # The run loop
//!
//! 1. Report events with [`Session::handle_input`], and the application's calls with
//!    [`Session::send`] and [`Session::close`].
//! 2. While a transport is writable, drain [`Session::poll_transmit`] for it. On polling a request
//!    takes these steps: `PollStarted`, wait until [`Session::has_transmit`], drain,
//!    `PollFinished`, send the response. A client does the same with `PushStarted` and its POST.
//! 3. Drain [`Session::poll_output`] until `None`. Step 2 may have added outputs, because the last
//!    frame of a closing session ends it.
//! 4. Sleep until [`Session::poll_timeout`], then call [`Session::handle_timeout`] and continue
//!    with step 2.
//!
//! Any call may give another transport a frame to carry. For example, the `3probe` that leaves on a
//! WebSocket ends the waiting GET. A shell with several tasks must therefore wake all of them after
//! each call.
//!
//! After [`Output::Closed`] do step 2 once more, so that a waiting request gets its final packet.
//! Then drop the session.
//!
//! Every method returns at once, so a session can live behind a lock that is held briefly. The next
//! ping of an idle session releases the memory of its queue.
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
//!    │                         ◄── 6 ── (or queued messages): ends the waiting GET,  │
//!    │                                  and every later GET within 100 ms            │
//!  Pausing: no new request,                                                          │
//!    │      open ones end                                                            │
//!    │    Upgraded ───────────────────────────── 5 ──────────────►  Upgraded         │
//!    ▼                                                                               ▼
//!   new transport ◄───────────────────── queue of both ends ───────────────► new transport
//! ```
//!
//! Any other packet on the new transport, the loss of the transport, or [`Config::upgrade_timeout`]
//! leads back to Idle with [`Output::ProbeFailed`]. The session then continues to poll.
//! [`Violation::NotPolling`] tells a pausing client that it must not poll until then. A server also
//! accepts a `5` without a probe. If the client closes the new transport after the `3probe` and makes
//! no request within the `upgrade_timeout`, the server's session ends with "transport close".
//!
//! A session that began on a WebSocket can be upgraded to WebTransport by the same exchange, as in
//! Node. Packets of one transport may overtake those of the other, so each end reads the WebSocket
//! to its end before it reads packets on the new transport
//! ([`Session::former_transport`]). The server ends the WebSocket with its last frame there, and
//! the client in response. If that takes longer than [`Config::upgrade_timeout`], the session ends
//! with "transport error", because messages are lost.
//!
//! # The heartbeat
//!
//! In revision 4 the server pings one [`Config::ping_interval`] after the handshake and after each
//! pong; in revision 3 the client does. Silence ends the session with "ping timeout". A heartbeat
//! packet of the wrong direction ends a server's session with "transport error". A client ignores
//! it, as Node's client does.
//!
//! A shell that pauses reading (backpressure) keeps watching its peer and reports what it sees with
//! [`Session::set_reading`] and [`Session::heard`].
//!
//! The deadlines stand still while the machine sleeps. [`Clock`] notices the sleep: a shell with one
//! session takes the time from it, and a shell with many tells them with [`Session::handle_sleep`].
//!
//! # Example
//!
//! A WebSocket session whose client sends "hello":
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use engineio_parser::{
//!     PacketData, Frame, Packet, PacketType, Revision, Transport,
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
//! // A message arrives, and the server answers it.
//! let hello = Packet::text(PacketType::Message, "hello");
//! session.handle_input(now, Input::Packet(Transport::WebSocket, hello))?;
//! while let Some(output) = session.poll_output() {
//!     if let Output::Message(PacketData::Text(text)) = output {
//!         assert_eq!(text, "hello");
//!         session.send(Frame::text(PacketType::Message, "welcome").into())?;
//!     }
//! }
//! let answer = session.poll_transmit(Transport::WebSocket, usize::MAX).unwrap();
//! assert_eq!(answer.payload(), "4welcome");
//!
//! // The shell sleeps until the next deadline: the first ping.
//! let due = session.poll_timeout().unwrap();
//! session.handle_timeout(due);
//! assert_eq!(session.poll_transmit(Transport::WebSocket, usize::MAX).unwrap().payload(), "2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod config;
mod control;
mod event;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod heartbeat;
mod machine;
mod outputs;
mod polling;
mod queue;
mod timer;
mod traffic;
mod upgrade;

pub use clock::Clock;
pub use config::Config;
pub use event::{CloseReason, Input, Loss, Output, Reading, Role, SendError, Unsent, Violation};
pub use machine::Session;
#[doc(hidden)]
pub use outputs::Outputs;
pub use traffic::Traffic;
