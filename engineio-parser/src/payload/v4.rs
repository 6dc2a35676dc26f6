//! Payloads of revision 4: packets joined by a separator.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{
    error::PayloadError,
    frame::Frame,
    packet::{Packet, Revision},
};

const SEPARATOR: char = '\x1e';

pub(super) fn encode(frames: &[Frame]) -> Bytes {
    if let [frame] = frames {
        return frame.polling_text(Revision::V4);
    }
    let mut body = BytesMut::with_capacity(frames.iter().map(encoded_len).sum());
    for (index, frame) in frames.iter().enumerate() {
        if index > 0 {
            body.put_u8(SEPARATOR as u8);
        }
        body.put(frame.polling_text(Revision::V4));
    }
    body.freeze()
}

pub(super) fn encoded_len(frame: &Frame) -> usize {
    frame.polling_len(Revision::V4) + 1
}

#[derive(Debug)]
pub(super) struct Decoder {
    /// The valid text that is not decoded yet. `None` after the last packet.
    rest: Option<ByteString>,
    /// Whether the last packet contains a byte that is not UTF-8.
    broken: bool,
}

impl Decoder {
    pub(super) fn new(body: Bytes) -> Self {
        match ByteString::try_from(body.clone()) {
            Ok(text) => Self { rest: Some(text), broken: false },
            Err(error) => {
                // The packets before the first invalid byte are still decoded.
                let valid = body.slice(..error.valid_up_to());
                Self { rest: valid.try_into().ok(), broken: true }
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Result<Packet, PayloadError>> {
        let rest = self.rest.take()?;
        let packet = match rest.split_once(SEPARATOR) {
            Some((packet, after)) => {
                self.rest = Some(rest.slice_ref(after));
                rest.slice_ref(packet)
            }
            None if self.broken => return Some(Err(PayloadError::InvalidUtf8)),
            None => rest,
        };
        Some(Packet::decode_text(packet, Revision::V4).map_err(PayloadError::from))
    }
}
