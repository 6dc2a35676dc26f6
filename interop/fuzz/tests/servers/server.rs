//! Servers that read arbitrary bytes.

use bytes::Bytes;
use engineio_parser::websocket::encode;
use flate2::{Compress, Compression, FlushCompress};
use fuzz::run;
use socketio_parser::{Nsp, Parser, Protocol, args, value};

use crate::world::{MASK, UPGRADE, World};

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// Requests of every kind: long-polling of both revisions, JSONP, preflights, cookies, headers of
/// proxies, bodies in pieces, upgrades.
#[test]
fn server_http() {
    let world = World::new();
    run("server_http", 1500, &http_seeds(), |input| {
        world.engine(b"", input);
    });
}

/// The frames of a WebSocket with compression.
#[test]
fn server_websocket() {
    let world = World::new();
    run("server_websocket", 2000, &frame_seeds(), |input| {
        world.engine(&websocket(), input);
    });
}

/// The messages of a Socket.IO client, which also speaks to the Admin UI.
#[test]
fn server_messages() {
    let world = World::new();
    run("server_messages", 600, &message_seeds(), |input| {
        world.socketio(Parser::Json, input);
    });
}

/// The messages of a client with the msgpack parser.
#[test]
fn server_msgpack() {
    let world = World::new();
    run("server_msgpack", 600, &msgpack_seeds(), |input| {
        world.socketio(Parser::MsgPack, input);
    });
}

/// The messages of clients that come back and claim a session.
#[test]
fn server_recovery() {
    let world = World::new();
    run("server_recovery", 600, &recovery_seeds(), |input| {
        world.recovery(input);
    });
}

/// The handshake of a WebSocket with compression.
fn websocket() -> Vec<u8> {
    format!("GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\n{UPGRADE}{DEFLATE}\r\n").into()
}

fn http_seeds() -> Vec<Vec<u8>> {
    let get = |query: &str, headers: &str| {
        format!(
            "GET /engine.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"
        )
    };
    let post = |query: &str, headers: &str, body: &str| {
        let length = body.len();
        format!(
            "POST /engine.io/?{query} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let polling = "EIO=4&transport=polling&sid=s0";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let texts = [
        get("", "") + &post(polling, "", "4a\u{1e}bAQID\u{1e}2\u{1e}3") + &get("&sid=s0", ""),
        get("", "Accept-Encoding: gzip, br;q=0.5, *;q=0\r\nCookie: io=s0; a=\"b\"\r\nOrigin: http://b\r\n"),
        get("", "Forwarded: for=\"[::1]:80\";proto=https, for=10.0.0.2;by=_x\r\nForwarded: for=1.2.3.4\r\n"),
        get("&t=%41%zz+&b64=1&sid", "X-Forwarded-For: 1.2.3.4, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n"),
        get("&j=0", "") + &post("EIO=4&transport=polling&sid=s0&j=0", form, "d=4a%22%5Cn%5C%5Cn%E2%80%A8") + &get("&sid=s0&j=0", ""),
        "GET /engine.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()
            + &post("EIO=3&transport=polling&sid=s0", "", "2:4a6:b4AQID1:2")
            + "GET /engine.io/?EIO=3&transport=polling&sid=s0&b64=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS /engine.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Headers: x, y\r\n\
            Access-Control-Request-Method: POST\r\n\r\n".to_owned(),
        get("", "") + &format!("POST /engine.io/?{polling} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n4a\u{1e}\r\n")
    ];
    let mut seeds: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    if let Some(pieces) = seeds.last_mut() {
        pieces.extend(b"\xfe02\r\n4b\r\n\xfe00\r\n\r\n");
    }
    // A poll that waits on one connection, a body in pieces on another, and an aborted body.
    let body =
        format!("POST /engine.io/?{polling} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n4a");
    let waiting = get("", "") + &get("&sid=s0", "");
    seeds.push(
        [
            waiting.as_bytes(),
            b"\xfe1",
            body.as_bytes(),
            b"\xfe1\x1e4b\xfe0",
            get("&sid=s0", "").as_bytes(),
            b"\xfe1",
            body.as_bytes(),
        ]
        .concat(),
    );
    // The upgrade of a session, with its probe.
    let upgrade = format!(
        "GET /engine.io/?EIO=4&transport=websocket&sid=s0 HTTP/1.1\r\n{UPGRADE}{DEFLATE}\r\n"
    );
    let probe =
        [encode(0x81, MASK, b"2probe"), encode(0x81, MASK, b"5"), encode(0x82, MASK, b"ab")]
            .concat();
    seeds.push([waiting.as_bytes(), b"\xfe1", upgrade.as_bytes(), b"\xfe1", &probe].concat());
    seeds
}

/// Frames of a client, each also in two fragments with a ping between them.
fn frame_seeds() -> Vec<Vec<u8>> {
    let messages: [&[u8]; 6] =
        [b"4hello", b"2", b"3", b"1", b"4\xc3\xa9\xe2\x82\xac", &[b'4'; 300]];
    let deflated = |message: &[u8]| {
        let mut out = Vec::with_capacity(1000);
        let mut deflate = Compress::new(Compression::best(), false);
        let _ = deflate.compress_vec(message, &mut out, FlushCompress::Sync);
        out.truncate(out.len().saturating_sub(4));
        out
    };
    let mut seeds = Vec::new();
    for message in messages {
        for (flag, payload) in [(0, message.to_vec()), (0x40, deflated(message))] {
            let (begin, end) = payload.split_at(payload.len() / 2);
            seeds.push(
                [encode(0x81 | flag, MASK, &payload), encode(0x82 | flag, MASK, &payload)].concat(),
            );
            seeds.push(
                [
                    encode(1 | flag, MASK, begin),
                    encode(0x89, MASK, b"!"),
                    vec![0xfe, b'0'],
                    encode(0x80, MASK, end),
                ]
                .concat(),
            );
        }
    }
    // A message that inflates beyond the limit, a close frame, a length that never arrives.
    seeds.push(encode(0xc1, MASK, &deflated(&[b'4'; 5000])));
    seeds.push(encode(0x88, MASK, &[3, 232, b'x']));
    seeds.push(b"\x82\xff\0\0\0\0\0\0\x03\xe8\0\0\0\0abc".to_vec());
    seeds
}

fn message_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        &b"40\xfe042[\"echo\",1]\xfe0427[\"echo\",\"a\"]\xfe041"[..],
        b"40\xfe0451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\xfe1\x01\x02\xfe042[\"drop\"]",
        b"40\xfe0461-0[{\"_placeholder\":true,\"num\":0}]\xfe1x\xfe02\xfe03",
        b"40/admin,{\"sessionId\":\"x\"}\xfe042/admin,[\"join\",\"/\",\"room\"]",
        b"40\xfe040/admin,{\"username\":\"a\"}\xfe042/admin,[\"emit\",\"/\",\"r\",\"event\",1,{}]",
        b"40\xfe040/admin,\xfe042/admin,[\"leave\",\"/\",\"r\",null]\xfe042/admin,[\"_disconnect\",\"/\",true]",
        b"40/admin,\xfe042/admin,3[\"_disconnect\",\"/admin\",false,\"id\"]\xfe041/admin,",
        b"40/dynamic-1,{\"token\":[1,null]}\xfe042/dynamic-1,9[\"echo\",{\"a\":1.5e3}]\xfe044/dynamic-1,{}",
        b"40{\"pid\":\"x\",\"offset\":\"1\"}\xfe0430[1,2]\xfe043999999999[]",
    ];
    seeds.map(<[u8]>::to_vec).into()
}

fn msgpack_seeds() -> Vec<Vec<u8>> {
    let (parser, main) = (Parser::MsgPack, Nsp::root());
    let admin = Nsp::new("/admin").unwrap_or_default();
    let auth = value!({ "username": "a" });
    let packets = [
        parser.encode_connect(Protocol::V5, &main, &()),
        parser.encode_event(&main, Some(7.into()), "echo", &args!["a", 1.5]),
        parser.encode_event(&main, None, "echo", &args![Bytes::from_static(b"x")]),
        parser.encode_connect(Protocol::V5, &admin, &auth),
        parser.encode_event(&admin, None, "join", &args!["/", "room"]),
        parser.encode_ack(&main, 0.into(), &args![1]),
        Ok(parser.encode_disconnect(&main)),
    ];
    let packets: Vec<Vec<u8>> = packets
        .iter()
        .flatten()
        .flat_map(|frames| frames.iter().map(|frame| frame.payload().to_vec()))
        .collect();
    let alone = packets.iter().map(|packet| [&packets[0], &b"\xfe0"[..], packet].concat());
    alone.chain([packets.join(&b"\xfe0"[..])]).collect()
}

fn recovery_seeds() -> Vec<Vec<u8>> {
    let claim = r#"40{"pid":"PID","offset":"OFF"}"#;
    let echo = r#"42["echo",1]"#;
    [
        format!("40_0{echo}_2{claim}_0{echo}"),
        format!("40_0{echo}_4{claim}"),
        format!("40_0{echo}_6{claim}_01"),
        format!("40_0{echo}_041_2{claim}"),
        format!("40_2{claim}_2{claim}_0427[\"echo\",{{}}]"),
        format!("40_040/dynamic-a,_042/dynamic-a,[\"echo\",1]_240/dynamic-a,{}", &claim[2..]),
        r#"40_0451-["echo",{"_placeholder":true,"num":0}]_1x_240{"pid":"PID","offset":""}"#
            .to_owned(),
    ]
    .map(|text| text.bytes().map(|byte| if byte == b'_' { 0xfe } else { byte }).collect())
    .into()
}

/// Otherwise the targets would only reach refusals.
#[test]
fn seeds_reach_the_application() {
    let world = World::new();
    let of_requests: usize =
        http_seeds().iter().map(|seed| world.engine(b"", seed).messages.len()).sum();
    let head = websocket();
    let of_frames: usize =
        frame_seeds().iter().map(|seed| world.engine(&head, seed).messages.len()).sum();
    let acks = message_seeds().into_iter().filter(|seed| {
        let output = world.socketio(Parser::Json, seed).output;
        output[0].windows(4).any(|bytes| bytes == b"437[")
    });
    assert_eq!((of_requests, of_frames, acks.count()), (10, 19, 1));
    let echoes = msgpack_seeds().into_iter().filter(|seed| {
        let output = world.socketio(Parser::MsgPack, seed).output;
        output[0].windows(4).any(|bytes| bytes == b"echo")
    });
    assert_eq!(echoes.count(), 3);
    // A session that is recovered has the same private id again.
    let recovered = recovery_seeds().into_iter().filter(|seed| {
        let output = String::from_utf8_lossy(&world.recovery(seed)).into_owned();
        let mut ids: Vec<_> =
            output.split("\"pid\":\"").skip(1).filter_map(|rest| rest.get(..20)).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        ids.len() < all
    });
    assert_eq!(recovered.count(), 3);
}
