//! Reading of WebSocket messages: frames, decompression, the limits of a turn, and errors.
//!
//! The bytes come in a buffer that all connections share. An idle connection owns no buffer.

use engineio_parser::{
    WebSocketError,
    websocket::{Decoded, Decoder, Incoming, Message, close_code},
};

use super::deflate::Inflate;
use crate::{
    stats::{Counter, RefusedCounters},
    turn::Turn,
};

/// Decodes the frames of a client.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) decoder: Decoder,
    inflate: Option<Box<Inflate>>,
}

impl Reader {
    /// Creates a reader. `inflate` is set if compression was negotiated.
    pub(crate) fn new(max_payload: usize, max_fragments: u32, inflate: Option<Inflate>) -> Self {
        let decoder = Decoder::of_client(max_payload).max_fragments(max_fragments);
        let decoder = if inflate.is_some() { decoder.accept_compressed() } else { decoder };
        Self { decoder, inflate: inflate.map(Box::new) }
    }

    /// Decodes bytes and reports every message that they complete, until the turn is over. Returns
    /// how many bytes were decoded. Payloads are unmasked in place.
    pub(crate) fn feed(
        &mut self,
        mut input: &mut [u8],
        turn: &mut Turn,
        mut report: impl FnMut(Incoming<'_>),
    ) -> Result<usize, ReadError> {
        let len = input.len();
        loop {
            if self.decoder.is_between_frames() && (turn.is_over() || input.is_empty()) {
                return Ok(len - input.len());
            }
            let before = input.len();
            if let Some(payload) = self.decoder.decode_text(&mut input) {
                turn.bytes(before - input.len());
                turn.packet();
                report(Incoming::Message(Message::text(payload)?));
                continue;
            }
            let stored = self.decoder.stored();
            let decoded = self.decoder.decode(&mut input)?;
            turn.bytes(before - input.len());
            let incoming = match decoded {
                Decoded::Incomplete => return Ok(len),
                Decoded::Fragment => {
                    turn.packet();
                    continue;
                }
                Decoded::Incoming(incoming) => incoming,
            };
            turn.packet();
            report(match incoming {
                Incoming::Compressed { opcode, payload } => {
                    let inflate = self.inflate.as_mut().ok_or(WebSocketError::ReservedBits)?;
                    let message = inflate.message(&payload)?;
                    turn.inflated(message.len());
                    Incoming::Message(Message::new(opcode, message.into())?)
                }
                Incoming::Close(Some(code)) if !close_code::is_allowed(code) => {
                    return Err(WebSocketError::Close.into());
                }
                incoming => {
                    // The part that arrived in earlier turns is decoded in this one.
                    turn.bytes(stored - self.decoder.stored());
                    incoming
                }
            });
        }
    }
}

/// An error in the data that the client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Frame(#[from] WebSocketError),
    #[error("WebSocket message cannot be inflated")]
    #[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "nothing is inflated"))]
    Deflate,
}

impl ReadError {
    /// Returns the counter for this error.
    pub(crate) fn counter(self, refused: &RefusedCounters) -> &Counter {
        match self {
            Self::Frame(WebSocketError::TooLarge { .. }) => &refused.too_large,
            Self::Frame(WebSocketError::Fragments { .. }) => &refused.too_many_fragments,
            Self::Frame(_) | Self::Deflate => &refused.malformed_frame,
        }
    }

    /// Returns the close code for this error.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Frame(error) => error.close_code(),
            Self::Deflate => close_code::INVALID_DATA,
        }
    }
}
