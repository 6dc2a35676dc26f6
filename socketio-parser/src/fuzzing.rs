//! The bodies of the fuzz targets, run by `tests/behaviour/fuzz_bodies.rs`. Only with the
//! feature `fuzzing`, which is not part of the public API.
//!
//! Each target accepts any bytes and must not panic.

#![allow(clippy::disallowed_methods, reason = "the clock only gives the start of a virtual time")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use bytestring::ByteString;
use engineio_parser::PacketData;

use crate::{
    AckRefused, Args, Connection, Content, Decoder, Limits, Nsp, Output, Packet, Protocol, RawJson,
    Value, Values, encode_ack, encode_event,
};

/// Decodes the messages of one connection, separated by `0x1e`. A message is text if it is UTF-8
/// and begins with a digit, else binary. The content of an accepted packet can be read, decoded,
/// and passed on without changing its meaning.
pub fn decode(data: &[u8]) {
    let mut decoder = Decoder::new(&Limits::default());
    for message in data.split(|byte| *byte == 0x1e) {
        let packet =
            match text(message).filter(|text| text.starts_with(|c: char| c.is_ascii_digit())) {
                Some(text) => decoder.decode_text(text),
                None => decoder.decode_binary(Bytes::copy_from_slice(message)),
            };
        let Ok(Some(Packet { nsp, content })) = packet else {
            continue;
        };
        match content {
            Content::Event { args, .. } => check_args(&nsp, &args),
            Content::Ack { id, args } => {
                check_args(&nsp, &args);
                let ack = id.and_then(|id| encode_ack(&nsp, id, &args).ok());
                assert!(ack.is_none_or(|frames| frames.count() == 1 + args.attachments().len()));
            }
            Content::Connect(Some(json)) | Content::ConnectError(json) => check_json(&json),
            Content::Connect(None) | Content::Disconnect => {}
        }
    }
}

/// Decodes one msgpack message. The result is encoded and decoded again, which must not change it.
#[cfg(feature = "msgpack")]
pub fn msgpack(data: &[u8]) {
    use crate::Parser;
    let read = |message: Bytes| {
        let mut decoder = Decoder::new(&Limits::default()).with_parser(Parser::MsgPack);
        decoder.decode_binary(message).ok().flatten()
    };
    let Some(Packet { nsp, content }) = read(Bytes::copy_from_slice(data)) else { return };
    match content {
        Content::Event { id, args } => {
            let Ok(frames) = Parser::MsgPack.encode_event(&nsp, id, args.event(), &args) else {
                return;
            };
            let message = frames.iter().next().map(engineio_parser::Frame::payload);
            let echo = message.and_then(read).map(|packet| packet.content);
            assert!(echo.is_some_and(|echo| match echo {
                Content::Event { id: again, args: echo } => {
                    id == again
                        && args.attachments() == echo.attachments()
                        && args.len() == echo.len()
                }
                _ => false,
            }));
        }
        Content::Ack { args, .. } => drop(args.values()),
        Content::Connect(Some(json)) | Content::ConnectError(json) => check_json(&json),
        Content::Connect(None) | Content::Disconnect => {}
    }
}

fn check_args(nsp: &Nsp, args: &Args) {
    assert_eq!(args.iter().count(), args.len());
    assert!(args.iter().all(|item| RawJson::new(item).is_ok()));
    let values = args.values();
    // The result may be an error, but not a panic.
    let _ = args.decode::<(String, Option<f64>, Value)>();
    let _ = args.decode::<Option<Value>>();

    assert!(echo(nsp, args, args.attachments().len()).is_some_and(|echo| echo.raw() == args.raw()));
    assert!(values.is_ok(), "valid arguments have values");
    #[cfg(feature = "msgpack")]
    check_by_msgpack(nsp, args);
    if let Ok(values) = values.map(Values) {
        assert_eq!(args.len(), values.0.len());
        // A buffer is attached once, even if the value refers to it several times.
        let mut buffers = BTreeSet::new();
        values.0.iter().for_each(|value| collect_buffers(value, &mut buffers));
        let attachments = buffers.len();
        // The first pass turns `1.0` into `1`. Further passes change nothing.
        let first = echo(nsp, &values, attachments);
        let second = first.as_ref().and_then(|args| echo(nsp, args, attachments));
        assert!(first.is_some_and(|first| first.len() == args.len() && Some(first) == second));
    }
}

/// Arguments passed on to a msgpack client must keep their meaning.
#[cfg(feature = "msgpack")]
fn check_by_msgpack(nsp: &Nsp, args: &Args) {
    use crate::Parser;
    let Ok(frames) = Parser::MsgPack.encode_event(nsp, None, "echo", args) else { return };
    let limits = Limits::default().max_binaries(usize::MAX);
    let mut decoder = Decoder::new(&limits).with_parser(Parser::MsgPack);
    let message = frames.iter().next().map(engineio_parser::Frame::payload);
    let packet = message.and_then(|message| decoder.decode_binary(message).ok().flatten());
    let values =
        |args: &Args| Some(args.values().ok()?.into_iter().map(as_f64).collect::<Vec<_>>());
    let echo = match packet.map(|packet| packet.content) {
        Some(Content::Event { args, .. }) => values(&args),
        _ => None,
    };
    assert_eq!(echo, values(args));
}

/// Compares numbers as JavaScript does, which has a single type of number.
#[cfg(feature = "msgpack")]
pub fn as_f64(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => Value::Array(items.into_iter().map(as_f64).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, item)| (key, as_f64(item))).collect())
        }
        other => other,
    }
}

/// Encodes and decodes again.
fn echo<T: serde::Serialize>(nsp: &Nsp, args: &T, attachments: usize) -> Option<Args> {
    let frames = encode_event(nsp, None, "echo", args).ok()?;
    assert_eq!(frames.count(), 1 + attachments);
    let mut decoder = Decoder::new(&Limits::default().max_attachments(usize::MAX));
    let mut packet = None;
    for frame in frames.iter() {
        packet = match frame.is_binary() {
            true => decoder.decode_binary(frame.payload()),
            false => decoder.decode_text(text(frame.payload().get(1..)?)?),
        }
        .ok()?;
    }
    match packet?.content {
        Content::Event { args, .. } => Some(args),
        _ => None,
    }
}

fn collect_buffers(value: &Value, buffers: &mut BTreeSet<(*const u8, usize)>) {
    match value {
        Value::Binary(bytes) => _ = buffers.insert((bytes.as_ptr(), bytes.len())),
        Value::Array(items) => items.iter().for_each(|item| collect_buffers(item, buffers)),
        Value::Object(object) => object.values().for_each(|item| collect_buffers(item, buffers)),
        _ => {}
    }
}

fn check_json(json: &RawJson) {
    let again = RawJson::new(json.get());
    assert_eq!(again.as_ref(), Ok(json));
    let _ = json.decode::<serde_json::Value>();
}

fn text(bytes: &[u8]) -> Option<ByteString> {
    str::from_utf8(bytes).ok().map(ByteString::from)
}

const MAX_ACKS: usize = 5;
const MAX_NAMESPACES: usize = 2;

/// Runs operations on a state machine, each of which is a byte with its arguments. Tables must stay
/// limited, and every waiter must be returned exactly once.
pub fn connection_ops(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let limits = Limits::default().max_pending_acks(MAX_ACKS).max_namespaces(MAX_NAMESPACES);
    let role = bytes.next();
    // The client's own requests are not limited.
    let client = matches!(role, Some(0 | 3));
    let mut connection = match role {
        Some(0) => Connection::client(Protocol::V5, limits),
        Some(1) => Connection::server(Protocol::V4, limits),
        Some(3) => Connection::client(Protocol::V4, limits),
        _ => Connection::server(Protocol::V5, limits),
    };
    let mut now = Instant::now();
    let mut waiting = BTreeSet::new();
    let mut next_waiter = 0;
    while let Some(op) = bytes.next() {
        let argument = bytes.next().unwrap_or(0);
        let nsp = Nsp::unchecked(
            ["/", "/a", "/b", "/c", "/a?x=1"].get(usize::from(argument % 5)).unwrap_or(&""),
        );
        match op % 11 {
            kind @ 0..=2 => {
                let message: Vec<u8> = bytes.by_ref().take(usize::from(argument % 64)).collect();
                let data = match text(&message).filter(|_| kind > 0) {
                    Some(text) => PacketData::Text(text),
                    None => PacketData::Binary(message.into()),
                };
                if connection.handle_data(now, data).is_err() {
                    connection.close();
                }
            }
            3 => drop(connection.accept(&nsp)),
            4 => drop(connection.refuse(&nsp)),
            5 => drop(connection.connect(&nsp)),
            6 => drop(connection.disconnect(&nsp)),
            7 => {
                let (id, timeout) = (u64::from(argument / 8), Duration::from_secs(argument.into()));
                match connection.expect_ack(now, &nsp, id.into(), timeout, next_waiter) {
                    Ok(()) => {
                        waiting.insert(next_waiter);
                        next_waiter += 1;
                    }
                    Err((refused, waiter)) => {
                        assert_eq!(waiter, next_waiter);
                        let full = connection.pending_acks() == MAX_ACKS;
                        assert!(full || refused != AckRefused::TooMany);
                    }
                }
            }
            8 => {
                if let Some(waiter) = connection.forget_ack(&nsp, u64::from(argument / 8).into()) {
                    assert!(waiting.remove(&waiter));
                }
            }
            9 => {
                now += Duration::from_secs(argument.into());
                if connection.handle_timeout(now).is_err() {
                    connection.close();
                }
                assert!(connection.poll_timeout().is_none_or(|deadline| deadline > now));
            }
            _ => {
                let message = well_formed(op / 11, &nsp, argument / 8);
                if connection.handle_data(now, PacketData::Text(message.into())).is_err() {
                    connection.close();
                }
            }
        }
        drain(&mut connection, &mut waiting);
        assert_eq!(connection.pending_acks(), waiting.len());
        assert!(waiting.len() <= MAX_ACKS);
        assert!(client || connection.connected().count() <= MAX_NAMESPACES);
    }
    connection.close();
    drain(&mut connection, &mut waiting);
    assert!(waiting.is_empty() && connection.poll_timeout().is_none());
}

/// Builds a packet that random bytes would rarely produce.
fn well_formed(kind: u8, nsp: &Nsp, id: u8) -> String {
    match kind % 6 {
        0 => format!("0{nsp},"),
        1 => format!("1{nsp},"),
        2 => format!("2{nsp},{id}[\"e\"]"),
        3 => format!("3{nsp},{id}[]"),
        4 => format!("4{nsp},{{\"message\":\"no\"}}"),
        _ => format!("51-{nsp},[\"e\",{{\"_placeholder\":true,\"num\":0}}]"),
    }
}

fn drain(connection: &mut Connection<u32>, waiting: &mut BTreeSet<u32>) {
    while let Some(output) = connection.poll_output() {
        if let Output::Acked { waiter, .. }
        | Output::AckTimedOut { waiter }
        | Output::AckFailed { waiter } = output
        {
            assert!(waiting.remove(&waiter), "resolved twice");
        }
    }
}
