//! One packet, written in JSON or in msgpack, is decoded to the same values.
#![cfg(feature = "msgpack")]

use bytes::Bytes;
use engineio_parser::Frames;
use proptest::{collection::vec, prelude::*};
use serde::Serialize;
use socketio_parser::{Args, Content, Decoder, Limits, Nsp, Parser, Value, Values, fuzzing};

use crate::common;

fn received(parser: Parser, frames: &Frames) -> Args {
    let limits = Limits::default().max_attachments(usize::MAX).max_binaries(usize::MAX);
    let mut decoder = Decoder::new(&limits).with_parser(parser);
    let packet = common::feed(&mut decoder, &common::messages(frames)).unwrap().unwrap();
    match packet.content {
        Content::Event { args, .. } => args,
        other => panic!("{other:?}"),
    }
}

fn sent<T: Serialize + ?Sized>(parser: Parser, args: &T) -> Args {
    received(parser, &parser.encode_event(&Nsp::root(), None, "e", args).unwrap())
}

/// JSON text, including forms that only JavaScript accepts.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,5})?([eE]-?[0-9]{1,3})?",
        vec(prop_oneof![Just(0xd83d_u16), Just(0xde00), any::<u16>()], 0..4).prop_map(|units| {
            let units = units.iter().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        }),
        (0..3_u8).prop_map(|num| format!("{{\"_placeholder\":true,\"num\":{num}}}")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(("[a-z]{0,3}|\\\\ud83d", inner), 0..4).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// JavaScript has one type of number, and writes infinity as null.
fn as_numbers(values: &[Value]) -> Vec<Value> {
    fn one(value: &Value) -> Value {
        match value {
            Value::Number(number) => number.as_f64().into(),
            Value::Array(items) => Value::Array(items.iter().map(one).collect()),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(key, item)| (key.clone(), one(item))).collect())
            }
            other => other.clone(),
        }
    }
    values.iter().map(one).collect()
}

proptest! {
    #[test]
    fn arguments_passed_on_as_msgpack_mean_the_same(items in vec(json(), 0..4)) {
        let comma = if items.is_empty() { "" } else { "," };
        let text = format!("53-[\"e\"{comma}{}]", items.join(","));
        let original = common::args(&text, &[b"zero", b"one", b"two"]);
        let by_msgpack = sent(Parser::MsgPack, &original);
        prop_assert_eq!(by_msgpack.len(), original.len());
        let values = original.values().unwrap();
        prop_assert_eq!(as_numbers(&by_msgpack.values().unwrap()), as_numbers(&values));
        // And back again.
        let by_json = sent(Parser::Json, &by_msgpack);
        prop_assert_eq!(as_numbers(&by_json.values().unwrap()), as_numbers(&values));
        let values = Values(values);
        for parser in [Parser::Json, Parser::MsgPack] {
            prop_assert_eq!(as_numbers(&sent(parser, &values).values().unwrap()), as_numbers(&values.0));
        }
        fuzzing::decode(format!("{text}\x1ezero\x1eone\x1etwo").as_bytes());
    }

    /// Bytes that are not UTF-8 are replaced, as by Node's server.
    #[test]
    fn any_bytes_are_text(bytes in vec(any::<u8>(), 0..30)) {
        let mut message = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e".to_vec();
        message.push(0xa0 | bytes.len() as u8);
        message.extend(&bytes);
        let mut decoder = Decoder::new(&Limits::default()).with_parser(Parser::MsgPack);
        let packet = decoder.decode_binary(Bytes::from(message)).unwrap().unwrap();
        let Content::Event { args, .. } = packet.content else { panic!() };
        prop_assert_eq!(args.decode::<String>().unwrap(), String::from_utf8_lossy(&bytes));
    }
}
