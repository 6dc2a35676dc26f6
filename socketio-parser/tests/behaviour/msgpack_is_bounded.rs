//! Depth, names and binary values of msgpack are bounded, and announced lengths are not trusted.
#![cfg(feature = "msgpack")]

use bytes::Bytes;
use proptest::prelude::*;
use socketio_parser::{
    AckId, Content, DecodeError, Decoder, Limits, Nsp, Packet, Parser, Value, Values, args,
};

fn decoder(limits: &Limits) -> Decoder {
    Decoder::new(limits).with_parser(Parser::MsgPack)
}

fn decode(message: Bytes, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    decoder(limits).decode_binary(message)
}

fn event(name: &str, args: Vec<Value>) -> Bytes {
    let frames = Parser::MsgPack.encode_event(&Nsp::root(), None, name, &Values(args)).unwrap();
    frames.iter().next().unwrap().payload()
}

/// A packet around raw data.
fn around(data: &[u8]) -> Bytes {
    [b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data", data].concat().into()
}

#[test]
fn nesting() {
    let limits = Limits::default().max_depth(10);
    let nested = |levels: usize| {
        let inside = [vec![0x91; levels], vec![0xc0]].concat();
        around(&[&[0x92, 0xa1, b'e'], &inside[..]].concat())
    };
    assert!(decode(nested(8), &limits).is_ok());
    assert_eq!(decode(nested(9), &limits), Err(DecodeError::TooDeep { limit: 10 }));
    let endless = nested(1_000_000);
    assert_eq!(decode(endless, &Limits::default()), Err(DecodeError::TooDeep { limit: 128 }));
    // In ignored fields too.
    let ignored = [&b"\x81\xa7options"[..], &[0x91; 1000]].concat();
    assert_eq!(decode(ignored.into(), &limits), Err(DecodeError::TooDeep { limit: 10 }));
}

#[test]
fn names() {
    let limits = Limits::default().max_event_name(3).max_namespace(4);
    assert!(decode(event("abc", vec![]), &limits).is_ok());
    assert_eq!(
        decode(event("abcd", vec![]), &limits),
        Err(DecodeError::EventNameTooLong { limit: 3 })
    );
    let frames = Parser::MsgPack.encode_disconnect(&Nsp::new("/long").unwrap());
    let message = frames.iter().next().unwrap().payload();
    assert_eq!(decode(message, &limits), Err(DecodeError::NamespaceTooLong { limit: 4 }));
    assert!(decode(around(b"\x91\xaadisconnect"), &limits).is_err(), "a reserved name");
}

#[test]
fn binary_values() {
    let limits = Limits::default().max_binaries(2).max_attachments(0);
    let bytes = |count: u8| (0..count).map(|byte| Bytes::from(vec![byte]).into()).collect();
    assert!(decode(event("e", bytes(2)), &limits).is_ok());
    let result = decode(event("e", bytes(3)), &limits);
    assert_eq!(result, Err(DecodeError::TooManyBinaries { limit: 2 }));
}

#[test]
fn announced_lengths() {
    for data in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\x92\xa1e\xdf\xff\xff\xff\xff",
        b"\x92\xa1e\xdb\xff\xff\xff\xffabc",
        b"\x92\xa1e\xc6\xff\xff\xff\xffabc",
        b"\x92\xa1e\xc9\xff\xff\xff\xff\x00abc",
    ] {
        assert_eq!(decode(around(data), &Limits::default()), Err(DecodeError::MalformedMsgPack));
    }
}

#[test]
fn text_is_no_msgpack() {
    let result = decoder(&Limits::default()).decode_text("2[\"e\"]".into());
    assert_eq!(result, Err(DecodeError::UnexpectedText));
}

/// A client may send the text that represents binary inside this crate.
#[test]
fn placeholders_of_the_peers_own() {
    let own = socketio_parser::value!({ "_placeholder": true, "num": 9 });
    let limits = Limits::default();
    let Ok(Some(packet)) = decode(event("e", vec![own.clone()]), &limits) else { panic!() };
    let Content::Event { args, .. } = packet.content else { panic!() };
    assert_eq!(args.values().unwrap(), std::slice::from_ref(&own));
    let beside_binary = event("e", vec![own, Bytes::from_static(b"x").into()]);
    assert_eq!(decode(beside_binary, &limits), Err(DecodeError::IllegalAttachments));
}

#[test]
fn a_buffer_counts_once_per_placeholder_of_the_peers_own() {
    let with_copies = |copies: u8| {
        let mut data = vec![0x92 + copies, 0xa1, b'e', 0xc4, 100];
        data.extend([0; 100]);
        for _ in 0..copies {
            data.extend(b"\x82\xac_placeholder\xc3\xa3num\x00");
        }
        decode(around(&data), &Limits::default().max_attachment_bytes(1000))
    };
    assert!(matches!(with_copies(9), Ok(Some(_))));
    assert_eq!(with_copies(10), Err(DecodeError::AttachmentsTooLarge { limit: 1000 }));
    // A binary value that is used once is limited by the size of the message alone.
    let limits = Limits::default().max_attachment_bytes(10);
    let single = event("e", vec![Bytes::from(vec![0; 100]).into()]);
    assert!(matches!(decode(single, &limits), Ok(Some(_))));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from(number + 0.5_f64.copysign(number))),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Bytes::from(bytes).into()),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Numbers are compared as JavaScript's only type of number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.0 == right.0 && same(left.1, right.1))
        }
        _ => left == right,
    }
}

proptest! {
    #[test]
    fn encoded_packets_are_decoded(
        event in "[a-z]{1,40}", id in any::<Option<u64>>(), values in prop::collection::vec(value(), 0..20)
    ) {
        let (nsp, id) = (Nsp::new("/chat").unwrap(), id.map(AckId::from));
        let frames = Parser::MsgPack.encode_event(&nsp, id, &event, &Values(values.clone())).unwrap();
        let message = frames.iter().next().unwrap().payload();
        let packet = decode(message, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(packet.nsp, nsp);
        let Content::Event { id: read_id, args } = packet.content else { panic!() };
        prop_assert_eq!(read_id, id);
        prop_assert_eq!(args.event(), event);
        let read = args.values().unwrap();
        prop_assert!(same(&Value::Array(read), &Value::Array(values)));
    }

    #[test]
    fn garbage_is_an_error_or_a_packet(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(bytes.clone().into(), &Limits::default());
        let _ = decode(around(&bytes), &Limits::default());
    }
}

#[test]
fn received_arguments_are_passed_on() {
    let message = event("e", args!["x", Bytes::from_static(b"yz"), { "a": [1.5] }].0);
    let Ok(Some(packet)) = decode(message.clone(), &Limits::default()) else { panic!() };
    let Content::Event { args, .. } = packet.content else { panic!() };
    let frames = Parser::MsgPack.encode_event(&Nsp::root(), None, "e", &args).unwrap();
    assert_eq!(frames.iter().next().unwrap().payload(), message);
}
