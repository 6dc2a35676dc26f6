//! Engine.IO packets, payloads and the session state machine, without any I/O.
//!
//! Engine.IO gives two ends an ordered stream of text and binary messages over HTTP long-polling, WebSocket or
//! WebTransport. This crate knows what its bytes mean and what has to happen next; moving the bytes is left to others.
//! Both revisions of the protocol (`EIO=3` and `EIO=4`) are values of [`Revision`], in one process.
//!
//! | module | what it holds |
//! |---|---|
//! | [`packet`] | one packet: its type, its data, its codec |
//! | [`handshake`] | the open packet's JSON |
//! | [`frame`] | packets in wire form, encoded once and shared by every recipient |
//! | [`payload`] | bodies of HTTP long-polling |
//! | [`webtransport`] | the length-prefixed framing of a byte stream |
//! | [`session`] | the protocol machine of both ends, and the contract of the loop that drives it |
//! | [`error`] | what can be wrong, one enum per operation |
//!
//! # What it never does
//!
//! No I/O, no clock, no randomness, no task, no `unsafe`. Nothing a peer sends makes it panic, and no announced length
//! makes it allocate.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use engineio_parser::{Frame, Packet, PacketType, Revision, payload};
//!
//! # fn main() -> Result<(), engineio_parser::PayloadError> {
//! // What a polling client posts: a message, and a binary one.
//! let body = Bytes::from_static(b"4hello\x1ebAQID");
//! let packets: Vec<Packet> =
//!     payload::decode(Revision::V4, body, false).collect::<Result<_, _>>()?;
//! assert_eq!(packets, [Packet::message("hello"), Packet::binary(vec![1, 2, 3])]);
//!
//! // What it gets back.
//! let frames = [Frame::text(PacketType::Ping, ""), Frame::text(PacketType::Message, "hi")];
//! assert_eq!(payload::encode(Revision::V4, false, &frames).body, "2\x1e4hi");
//! # Ok(())
//! # }
//! ```

pub mod error;
pub mod frame;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
pub mod handshake;
mod lenient_base64;
pub mod packet;
pub mod payload;
pub mod session;
pub mod webtransport;

pub use bytestring::ByteString;
pub use error::{FramingError, HandshakeError, PacketError, PayloadError};
pub use frame::{Frame, FrameWriter};
pub use frames::Frames;
pub use handshake::OpenPacket;
pub use packet::{Data, Packet, PacketType, Revision, Transport};
