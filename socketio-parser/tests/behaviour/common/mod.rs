//! Helpers of the tests: convert frames to messages, and messages to packets.
#![allow(dead_code, unreachable_pub)] // no test uses all of it

use bytes::Bytes;
use engineio_parser::{Frames, PacketData};
use socketio_parser::{
    Args, ByteString, Content, DecodeError, Decoder, EncodeError, Limits, Nsp, Packet, encode_event,
};

/// The messages a peer receives for `frames`.
pub fn messages(frames: &Frames) -> Vec<PacketData> {
    frames
        .iter()
        .map(|frame| match frame.is_binary() {
            true => PacketData::Binary(frame.payload()),
            // Behind the Engine.IO digit.
            false => PacketData::Text(ByteString::try_from(frame.payload().slice(1..)).unwrap()),
        })
        .collect()
}

/// Returns the text of `frames` and the number of their attachments.
pub fn text(frames: &Frames) -> (String, usize) {
    match messages(frames).first() {
        Some(PacketData::Text(text)) => (text.to_string(), frames.count() - 1),
        other => panic!("not a text: {other:?}"),
    }
}

/// The text of an event to `/`.
pub fn event_text<T: serde::Serialize + ?Sized>(args: &T) -> Result<String, EncodeError> {
    Ok(text(&encode_event(&Nsp::root(), None, "e", args)?).0)
}

pub fn feed(decoder: &mut Decoder, data: &[PacketData]) -> Result<Option<Packet>, DecodeError> {
    let mut packet = None;
    for message in data {
        packet = match message.clone() {
            PacketData::Text(text) => decoder.decode_text(text)?,
            PacketData::Binary(bytes) => decoder.decode_binary(bytes)?,
        };
    }
    Ok(packet)
}

/// Decodes one packet with the default limits.
pub fn decode(text: &str, attachments: &[&'static [u8]]) -> Result<Option<Packet>, DecodeError> {
    decode_with(Limits::default(), text, attachments)
}

pub fn decode_with(
    limits: Limits,
    text: &str,
    attachments: &[&'static [u8]],
) -> Result<Option<Packet>, DecodeError> {
    let attachments = attachments.iter().map(|bytes| PacketData::Binary(Bytes::from_static(bytes)));
    let data: Vec<PacketData> =
        std::iter::once(PacketData::Text(text.into())).chain(attachments).collect();
    feed(&mut Decoder::new(&limits), &data)
}

/// The arguments of an event or an acknowledgement that must be complete.
pub fn args(text: &str, attachments: &[&'static [u8]]) -> Args {
    match decode(text, attachments).map(|packet| packet.map(|packet| packet.content)) {
        Ok(Some(Content::Event { args, .. } | Content::Ack { args, .. })) => args,
        other => panic!("no arguments in {text}: {other:?}"),
    }
}
