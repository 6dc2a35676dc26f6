//! The same messages mean the same over every transport of the server, in both directions.

use engineio_parser::{
    Frame, PacketData, PacketType, Revision,
    bytes::Bytes,
    payload,
    websocket::{Decoded, Decoder, Incoming, Message, encode},
};
use fuzz::run;

use crate::world::{MASK, MAX_PAYLOAD, UPGRADE, World};

/// Sends the messages of the input, separated by 0x1e, over long-polling of both revisions, with
/// and without base64, as a JSONP form, and over WebSocket. The application must receive the same
/// messages, and its echoes must arrive unchanged.
#[test]
fn transports() {
    let world = World::new();
    let seeds = [
        &b"hello\x1e\x01\xff\x1e2probe"[..],
        "\u{e9}\u{20ac}\u{1f600}\x1e\x1e\"\n\r\t&=+%".as_bytes(),
        b"4:a\x1e{\"a\":[1]}\x1e\0",
    ];
    run("transports", 300, &seeds.map(<[u8]>::to_vec), |input| compare(&world, input));
}

fn compare(world: &World, input: &[u8]) {
    let messages: Vec<PacketData> = input
        .get(..MAX_PAYLOAD / 4)
        .unwrap_or(input)
        .split(|byte| *byte == 0x1e)
        .map(|message| match str::from_utf8(message) {
            Ok(text) => PacketData::Text(text.into()),
            Err(_) => PacketData::Binary(Bytes::copy_from_slice(message)),
        })
        .collect();
    let frames: Vec<Frame> = messages
        .iter()
        .map(|message| match message {
            PacketData::Text(text) => Frame::text(PacketType::Message, text),
            PacketData::Binary(data) => Frame::binary(data.clone()),
        })
        .collect();
    for (revision, b64) in [(Revision::V4, true), (Revision::V3, true), (Revision::V3, false)] {
        let eio = if revision == Revision::V4 { 4 } else { 3 };
        let body = payload::encode(revision, b64, &frames);
        let kind = if body.binary { "application/octet-stream" } else { "text/plain" };
        let query = format!("EIO={eio}&transport=polling{}", if b64 { "&b64=1" } else { "" });
        let found = poll(world, &query, kind, &body.body);
        assert_eq!(found.0, messages, "{query}");
        let echoes = payload::decode(revision, found.1.into(), body.binary).flatten();
        let echoes: Vec<_> = echoes
            .filter(|packet| packet.kind == PacketType::Message)
            .map(|packet| packet.data)
            .collect();
        assert_eq!(echoes, messages, "{query}");
    }
    let found = websocket(world, &frames);
    assert_eq!(found.0, messages, "WebSocket");
    assert_eq!(found.1, messages, "WebSocket");
}

/// Returns the messages that the application received, and the body of the response to a poll.
fn poll(world: &World, query: &str, kind: &str, body: &[u8]) -> (Vec<PacketData>, Vec<u8>) {
    let get = |query: &str| format!("GET /engine.io/?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
    let session = format!("{query}&sid=s0");
    let post = format!(
        "POST /engine.io/?{session} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // The server's responses go to other connections, so that only the last one is read here. The
    // bytes of the body must not be taken for marks.
    let mut found = world.bytes([
        (0, get(query).into_bytes()),
        (1, [post.as_bytes(), body].concat()),
        (2, get(&session).into_bytes()),
    ]);
    let output = std::mem::take(&mut found.output[2]);
    let at = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(output.len(), |at| at + 4);
    (found.messages, output[at..].to_vec())
}

fn websocket(world: &World, frames: &[Frame]) -> (Vec<PacketData>, Vec<PacketData>) {
    let head = format!("GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\n{UPGRADE}\r\n");
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|frame| {
            let first = if frame.is_binary() { 0x82 } else { 0x81 };
            encode(first, MASK, &frame.payload())
        })
        .collect();
    let found = world.bytes([(0, head.into_bytes()), (0, bytes)]);
    let mut output = &found.output[0][..];
    let at = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(output.len(), |at| at + 4);
    output = &output[at..];
    let mut decoder = Decoder::of_server(usize::MAX);
    let mut bytes = output.to_vec();
    let mut rest = &mut bytes[..];
    let mut echoes = Vec::new();
    while let Ok(Decoded::Incoming(incoming)) = decoder.decode(&mut rest) {
        match incoming {
            Incoming::Message(Message::Text(text)) if text.starts_with('4') => {
                echoes.push(PacketData::Text(text[1..].into()))
            }
            Incoming::Message(Message::Binary(data)) => {
                echoes.push(PacketData::Binary(Bytes::copy_from_slice(&data)))
            }
            _ => {}
        }
    }
    (found.messages, echoes)
}
