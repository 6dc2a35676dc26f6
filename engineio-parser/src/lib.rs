//! Engine.IO packets, payloads and the session state machine, without any I/O.
//!
//! [Engine.IO](https://socket.io/docs/v4/engine-io-protocol/) carries an ordered stream of text and
//! binary messages in both directions over HTTP long-polling, WebSocket or WebTransport. This crate
//! parses and builds the bytes and decides which action follows. The caller moves the bytes. Both
//! revisions of the protocol (`EIO=3` and `EIO=4`) are values of [`Revision`] and work in one
//! process.
//!
//! | module | contents |
//! |---|---|
//! | [`packet`] | one packet: its type, its data, its codec |
//! | [`handshake`] | the open packet's JSON |
//! | [`frame`] | packets in wire form, encoded once and shared by all recipients |
//! | [`payload`] | bodies of HTTP long-polling |
//! | [`websocket`] | the framing of a WebSocket, for both ends |
//! | [`webtransport`] | the length-prefixed framing of a byte stream |
//! | [`session`] | the state machine of both ends, and the loop that must drive it |
//! | [`error`] | decoding errors, one enum per operation |
//!
//! # Guarantees
//!
//! This crate does no I/O, reads no clock, draws no randomness, spawns no tasks and contains no
//! `unsafe` code. Input from a peer never makes it panic, and it never allocates memory for a
//! length that a peer only announced.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use engineio_parser::{Frame, Packet, PacketType, Revision, payload};
//!
//! # fn main() -> Result<(), engineio_parser::PayloadError> {
//! // A polling client posts a text message and a binary message.
//! let body = Bytes::from_static(b"4hello\x1ebAQID");
//! let packets: Vec<Packet> =
//!     payload::decode(Revision::V4, body, false).collect::<Result<_, _>>()?;
//! assert_eq!(packets, [Packet::message("hello"), Packet::binary(vec![1, 2, 3])]);
//!
//! // The response to the client's GET.
//! let frames = [Frame::text(PacketType::Ping, ""), Frame::text(PacketType::Message, "hi")];
//! assert_eq!(payload::encode(Revision::V4, false, &frames).body, "2\x1e4hi");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

pub mod error;
pub mod frame;
mod frames;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod handshake;
mod lenient_base64;
mod packed;
pub mod packet;
pub mod payload;
pub mod session;
pub mod websocket;
pub mod webtransport;

pub use bytes;
pub use bytestring::ByteString;
pub use error::{FramingError, HandshakeError, PacketError, PayloadError, WebSocketError};
pub use frame::{Frame, FrameWriter};
pub use frames::Frames;
pub use handshake::OpenPacket;
pub use packet::{Packet, PacketData, PacketType, Revision, Transport};

/// Internals for the servers of this workspace. Not part of the public API: it may change
/// in any release.
#[doc(hidden)]
pub mod internal {
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    pub use crate::packed::{OutgoingMessage, PackedFrames, Refusal};
    use crate::{Frame, Frames};

    /// Makes all clones taken from now on share encodings that only some recipients need, such as
    /// the compressed frame. Intended for broadcasts. Costs one allocation.
    #[must_use]
    pub fn share(mut frames: Frames) -> Frames {
        frames.share();
        frames
    }

    /// Returns the instant `timeout` after `now`, at most ten years later. A longer time means that
    /// there is no deadline, and the clock might not express it.
    #[must_use]
    pub fn deadline(now: Instant, timeout: Duration) -> Instant {
        now + timeout.min(Duration::from_secs(10 * 365 * 86_400))
    }

    /// Returns the compressed frame for a WebSocket with a compression window of `window_bits`
    /// bits.
    ///
    /// Calls `compress` to build it. The result is cached for all clones that [`share`] the frame,
    /// but only for the window size of the first call. Returns `None` if `compress` does, which
    /// means that the frame is better sent uncompressed. This crate contains no compressor.
    pub fn compressed(
        frame: &Frame,
        window_bits: u8,
        compress: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        frame.compressed(window_bits, compress)
    }
}
