//! The bodies of the fuzz targets, run by `tests/behaviour/fuzz_bodies.rs`. Only with the
//! feature `fuzzing`, which is not part of the public API.
//!
//! Each function accepts any bytes, must not panic, and asserts that decoded data survives a round
//! trip.

use bytes::{BufMut, Bytes};

pub use crate::session::fuzzing::session_ops;
use crate::{
    frame::Frame,
    handshake::OpenPacket,
    packet::{Packet, Revision},
    payload,
    websocket::{self, Decoded, Incoming, Message, Opcode},
    webtransport,
};

/// One message of a message transport.
pub fn packet(data: &[u8]) {
    for revision in [Revision::V3, Revision::V4] {
        let text = str::from_utf8(data).map(|text| Packet::decode_text(text.into(), revision));
        let binary = Packet::decode_binary(Bytes::copy_from_slice(data), revision);
        for packet in text.ok().into_iter().chain([binary]).flatten() {
            let Some(frame) = packet.to_frame() else {
                continue;
            };
            assert_eq!(frame.to_packet(), packet);
            let text = frame.polling_text(revision);
            assert_eq!(text.len(), frame.polling_len(revision));
            let again = text.try_into().map(|text| Packet::decode_text(text, revision));
            assert_eq!(again, Ok(Ok(packet)));
        }
    }
}

/// A polling body of revision 4.
pub fn payload_v4(data: &[u8]) {
    body(Revision::V4, data, false);
    // Again in up to 17 pieces. The length of the data determines their number.
    let mut reader = payload::Reader::new(usize::MAX);
    let mut packets = Vec::new();
    for piece in data.chunks(1 + data.len() / (1 + data.len() % 17)) {
        reader.push(Bytes::copy_from_slice(piece));
        packets.extend(std::iter::from_fn(|| reader.next_packet()));
    }
    reader.finish();
    packets.extend(std::iter::from_fn(|| reader.next_packet()));
    let whole = payload::decode(Revision::V4, Bytes::copy_from_slice(data), false);
    assert_eq!(packets, whole.collect::<Vec<_>>());
}

/// A polling body of revision 3, decoded as text and as binary.
pub fn payload_v3(data: &[u8]) {
    body(Revision::V3, data, false);
    body(Revision::V3, data, true);
}

/// The handshake.
pub fn handshake(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(open) = OpenPacket::decode(text) else {
        return;
    };
    assert_eq!(OpenPacket::decode(&open.to_json()).ok(), Some(open));
}

/// A WebTransport stream. The first byte sets the size of the chunks, the second the limit.
pub fn webtransport(data: &[u8]) {
    let [chunk, max_payload, stream @ ..] = data else {
        return;
    };
    let max_payload = u64::from(*max_payload) << 2;
    let whole = decode_stream(max_payload, [stream]);
    let chunked = decode_stream(max_payload, stream.chunks(1 + usize::from(*chunk)));
    assert_eq!(whole, chunked);

    let packets: Vec<_> = whole.into_iter().flatten().collect();
    let mut again = Vec::new();
    for frame in packets.iter().filter_map(Packet::to_frame) {
        let (header, packet) = webtransport::encode(&frame);
        again.extend_from_slice(header.as_ref());
        again.extend_from_slice(&packet);
    }
    assert_eq!(
        decode_stream(u64::MAX, [&again[..]]),
        packets.into_iter().map(Ok).collect::<Vec<_>>()
    );
}

/// The frames of a peer. The first byte chooses the decoder, the second sets the size of the
/// chunks, the third the limit.
pub fn websocket(data: &[u8]) {
    let [kind, chunk, max_payload, stream @ ..] = data else {
        return;
    };
    let decoder = || {
        let max_payload = usize::from(*max_payload) << 4;
        let decoder = match kind & 1 {
            0 => websocket::Decoder::of_client(max_payload),
            _ => websocket::Decoder::of_server(max_payload),
        };
        let decoder = decoder.max_fragments(u32::from(kind >> 2));
        if kind & 2 == 0 { decoder } else { decoder.accept_compressed() }
    };
    let whole = decode_frames(decoder(), [stream]);
    assert_eq!(whole, decode_frames(decoder(), stream.chunks(1 + usize::from(*chunk))));

    let again: Vec<u8> = whole.0.iter().flat_map(encode_frame).collect();
    let server = websocket::Decoder::of_server(usize::MAX).accept_compressed();
    assert_eq!(decode_frames(server, [&again[..]]), (whole.0, None));
}

fn decode_frames<'a>(
    mut decoder: websocket::Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Incoming<'static>>, Option<crate::WebSocketError>) {
    let mut found = Vec::new();
    for mut chunk in chunks {
        if let Some(mut payload) = decoder.payload_mut(1) {
            let (part, rest) = chunk.split_at(chunk.len().min(payload.remaining_mut()));
            payload.put_slice(part);
            chunk = rest;
        }
        let mut chunk = chunk.to_vec();
        let mut input = &mut chunk[..];
        loop {
            match decoder.decode(&mut input) {
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::Fragment) => {}
                Ok(Decoded::Incoming(incoming)) => found.push(incoming.into_owned()),
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    (found, None)
}

fn encode_frame(incoming: &Incoming<'_>) -> Vec<u8> {
    let close;
    let (first, payload) = match incoming {
        Incoming::Message(Message::Text(text)) => (websocket::TEXT, text.as_bytes()),
        Incoming::Message(Message::Binary(data)) => (websocket::BINARY, &data[..]),
        Incoming::Compressed { opcode: Opcode::Text, payload } => {
            (websocket::TEXT | websocket::COMPRESSED, &payload[..])
        }
        Incoming::Compressed { payload, .. } => {
            (websocket::BINARY | websocket::COMPRESSED, &payload[..])
        }
        Incoming::Ping(payload) => (websocket::PING, &payload[..]),
        Incoming::Pong(payload) => (websocket::PONG, &payload[..]),
        Incoming::Close(code) => {
            close = code.map(u16::to_be_bytes);
            (websocket::CLOSE, close.as_ref().map_or(&[][..], |code| code))
        }
    };
    websocket::encode(first, None, payload)
}

fn body(revision: Revision, data: &[u8], binary: bool) {
    let decoded: Vec<_> = payload::decode(revision, Bytes::copy_from_slice(data), binary)
        .take(data.len() + 2)
        .collect();
    assert!(decoded.len() <= data.len() + 1, "a packet was decoded from zero bytes");

    let packets: Vec<_> =
        decoded.into_iter().flatten().filter(|packet| packet.to_frame().is_some()).collect();
    let frames: Vec<Frame> = packets.iter().filter_map(Packet::to_frame).collect();
    if frames.is_empty() {
        return;
    }
    for b64 in [false, true] {
        let payload = payload::encode(revision, b64, &frames);
        let budget: usize =
            frames.iter().map(|frame| payload::encoded_len(frame, revision, b64)).sum();
        assert!(payload.body.len() <= budget);
        let again: Result<Vec<_>, _> =
            payload::decode(revision, payload.body, payload.binary).collect();
        assert_eq!(again.as_deref(), Ok(&packets[..]));
    }
}

fn decode_stream<'a>(
    max_payload: u64,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<Packet, crate::FramingError>> {
    let mut decoder = webtransport::Decoder::new(max_payload);
    let (mut found, mut pushed) = (Vec::new(), 0);
    for chunk in chunks {
        decoder.push(chunk);
        pushed += chunk.len();
        while let Some(next) = decoder.next().transpose() {
            found.push(next);
            assert!(found.len() <= pushed, "a packet was decoded from zero bytes");
        }
    }
    found
}
