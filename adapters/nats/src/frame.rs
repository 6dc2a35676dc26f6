//! The header of a payload: its publisher, and the number of the message.

use bytes::{BufMut, Bytes, BytesMut};
use socketio_adapter::{MessageError, NodeId};

use crate::error::NatsError;

const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 1;

/// The payload of a NATS message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) uid: NodeId,
    /// Grows with every message of a publisher.
    pub(crate) count: u64,
    /// The encoded cluster message. Empty in a message that a node sends to itself.
    pub(crate) message: Bytes,
}

impl Frame {
    pub(crate) fn encode(&self) -> Result<Bytes, NatsError> {
        let uid = self.uid.as_str();
        let length = u8::try_from(uid.len()).map_err(|_| NatsError::NameTooLong(uid.len()))?;
        let mut out = BytesMut::with_capacity(FIXED + uid.len() + self.message.len());
        out.put_u8(VERSION);
        out.put_u64(self.count);
        out.put_u8(length);
        out.put_slice(uid.as_bytes());
        out.put_slice(&self.message);
        Ok(out.freeze())
    }

    pub(crate) fn decode(payload: &Bytes) -> Result<Self, MessageError> {
        const TOO_SHORT: MessageError = MessageError::Malformed("the payload is too short");
        let (&version, rest) = payload.split_first().ok_or(TOO_SHORT)?;
        if version != VERSION {
            return Err(MessageError::Malformed("unknown version of the payload"));
        }
        let (count, rest) = rest.split_first_chunk::<8>().ok_or(TOO_SHORT)?;
        let (&length, rest) = rest.split_first().ok_or(TOO_SHORT)?;
        let (uid, message) = rest.split_at_checked(length.into()).ok_or(TOO_SHORT)?;
        let uid = str::from_utf8(uid).map_err(|_| MessageError::Malformed("not UTF-8"))?;
        Ok(Self {
            uid: uid.to_owned().into(),
            count: u64::from_be_bytes(*count),
            message: payload.slice_ref(message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_encoding_and_truncated_frames_are_refused() {
        let frame = Frame { uid: "one".into(), count: 7, message: Bytes::from_static(b"{}") };
        let payload = frame.encode().unwrap();
        assert_eq!(payload, b"\x01\0\0\0\0\0\0\0\x07\x03one{}"[..]);
        assert_eq!(Frame::decode(&payload).unwrap(), frame);
        for cut in 0..13 {
            assert!(Frame::decode(&payload.slice(..cut)).is_err(), "{cut}");
        }
        assert!(Frame::decode(&Bytes::from_static(b"{\"type\":2}")).is_err());
        assert!(Frame { uid: "n".repeat(256).into(), ..frame }.encode().is_err());
    }

    /// Mutated payloads. One that is accepted is encoded to the same bytes.
    #[test]
    fn nats_wire() {
        let frame = Frame { uid: "one".into(), count: 7, message: Bytes::from_static(b"{}") };
        let seeds = [frame.encode().unwrap().to_vec()];
        fuzz::run("nats_wire", 5000, &seeds, |input| {
            let payload = Bytes::copy_from_slice(input);
            if let Ok(frame) = Frame::decode(&payload) {
                assert_eq!(frame.encode().unwrap(), payload);
            }
        });
    }
}
