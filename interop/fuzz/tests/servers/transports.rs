//! The same messages mean the same over every transport and in every format of the server.

use std::cell::Cell;

use engineio_parser::{
    Frame, PacketData, PacketType, Revision,
    bytes::Bytes,
    payload,
    websocket::{Decoded, Decoder, Incoming, Message, encode},
};
use fuzz::run;
use socketio_parser::{Content, Limits, Nsp, Parser, Protocol, Value, fuzzing::as_f64};

use crate::world::{MASK, MAX_PAYLOAD, UPGRADE, World};

/// The arguments of the input mean the same in an event over long-polling, over WebSocket, and in
/// a msgpack packet. The server decodes them, and echoes them.
#[test]
fn parsers() {
    let world = World::new();
    let seeds = [
        &br#"2["echo",1,-0.5,1e300,"a\u00e9\n",null,true,{"a":[[],{}]}]"#[..],
        b"51-[\"echo\",{\"a\":{\"_placeholder\":true,\"num\":0}}]\x1e\0\xff",
        b"2[\"echo\",[1,[2,[3,{\"b\":\"c\"}]]],123456789012,\"\"]",
    ];
    let compared = Cell::new(0);
    run("parsers", 300, &seeds.map(<[u8]>::to_vec), |input| {
        if compare_parsers(&world, input).is_some() {
            compared.set(compared.get() + 1);
        }
    });
    assert!(compared.get() > 0, "no input was an event");
}

fn compare_parsers(world: &World, input: &[u8]) -> Option<()> {
    let mut decoder = socketio_parser::Decoder::new(&Limits::default());
    let mut messages = input.split(|byte| *byte == 0x1e);
    let mut packet = decoder.decode_text(str::from_utf8(messages.next()?).ok()?.into()).ok()?;
    for attachment in messages {
        packet = decoder.decode_binary(Bytes::copy_from_slice(attachment)).ok()?;
    }
    let Content::Event { args, .. } = packet?.content else { return None };
    let sent = args.values().ok()?;
    let numbers = |values: Vec<Value>| values.into_iter().map(as_f64).collect::<Vec<_>>();
    let sent = numbers(sent);
    let main = Nsp::new("/").ok()?;
    for (parser, polling) in [(Parser::Json, true), (Parser::Json, false), (Parser::MsgPack, false)]
    {
        let connect = parser.encode_connect(Protocol::V5, &main, &()).ok()?;
        let event = parser.encode_event(&main, None, "echo", &args).ok()?;
        let frames: Vec<_> = connect.iter().chain(event.iter()).cloned().collect();
        // In a polling body binary data is longer.
        if frames.iter().map(|frame| frame.payload().len()).sum::<usize>() > MAX_PAYLOAD / 2 {
            return None;
        }
        let bytes = if polling {
            let body = payload::encode(Revision::V4, true, &frames);
            let [open, post, _] =
                requests("/socket.io/", "EIO=4&transport=polling", "s0", "text/plain", &body.body);
            vec![(0, open), (1, post)]
        } else {
            vec![(0, upgrade("/socket.io/")), (0, client_frames(&frames))]
        };
        let values = world.values(parser, bytes).map(numbers);
        assert_eq!(values.as_ref(), Some(&sent), "{parser:?}, polling {polling}");
    }
    Some(())
}

/// Sends the messages of the input, separated by 0x1e, over long-polling of both revisions, with
/// and without base64, and over WebSocket. The application must receive the same messages, and its
/// echoes must arrive unchanged.
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

/// More messages of an input only take longer.
const MAX_MESSAGES: usize = 64;

fn compare(world: &World, input: &[u8]) {
    let messages: Vec<PacketData> = input
        .get(..MAX_PAYLOAD / 4)
        .unwrap_or(input)
        .split(|byte| *byte == 0x1e)
        .take(MAX_MESSAGES)
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
    let mut conversations = Vec::new();
    let mut bodies = Vec::new();
    for (revision, b64) in [(Revision::V4, true), (Revision::V3, true), (Revision::V3, false)] {
        let eio = if revision == Revision::V4 { 4 } else { 3 };
        let body = payload::encode(revision, b64, &frames);
        let kind = if body.binary { "application/octet-stream" } else { "text/plain" };
        let query = format!("EIO={eio}&transport=polling{}", if b64 { "&b64=1" } else { "" });
        let sid = format!("s{}", bodies.len());
        let [open, post, get] = requests("/engine.io/", &query, &sid, kind, &body.body);
        // The responses to the first two go to another connection, so that only the last one is read.
        conversations.push(vec![(0, open), (0, post), (1, get)]);
        bodies.push((revision, body.binary, query));
    }
    conversations.push(vec![(0, upgrade("/engine.io/")), (0, client_frames(&frames))]);
    let mut found = world.conversations(conversations);
    let websocket = found.pop().unwrap_or_default();
    for ((revision, binary, query), found) in bodies.into_iter().zip(found) {
        assert_eq!(found.messages, messages, "{query}");
        let body = Bytes::copy_from_slice(after_head(&found.output[1]));
        let echoes = payload::decode(revision, body, binary).flatten();
        let echoes: Vec<_> = echoes
            .filter(|packet| packet.kind == PacketType::Message)
            .map(|packet| packet.data)
            .collect();
        assert_eq!(echoes, messages, "{query}");
    }
    assert_eq!(websocket.messages, messages, "WebSocket");
    assert_eq!(echoes(&websocket.output[0]), messages, "WebSocket");
}

/// Returns what follows the head of the first response.
fn after_head(output: &[u8]) -> &[u8] {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(&[], |end| &output[end + 4..])
}

/// The requests that open a session, send a body, and poll.
fn requests(path: &str, query: &str, sid: &str, kind: &str, body: &[u8]) -> [Vec<u8>; 3] {
    let get = |query: &str| format!("GET {path}?{query} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let session = format!("{query}&sid={sid}");
    let post = format!(
        "POST {path}?{session} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [get(query), [post.as_bytes(), body].concat(), get(&session)]
}

fn upgrade(path: &str) -> Vec<u8> {
    format!("GET {path}?EIO=4&transport=websocket HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes()
}

fn client_frames(frames: &[Frame]) -> Vec<u8> {
    let first = |frame: &Frame| if frame.is_binary() { 0x82 } else { 0x81 };
    frames.iter().flat_map(|frame| encode(first(frame), MASK, &frame.payload())).collect()
}

/// Returns the messages in the output of a WebSocket.
fn echoes(output: &[u8]) -> Vec<PacketData> {
    let mut decoder = Decoder::of_server(usize::MAX);
    let mut bytes = after_head(output).to_vec();
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
    echoes
}
