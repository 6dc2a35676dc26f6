//! Any packet survives encoding and decoding, with binary at any depth. Messages may be lost,
//! repeated or interleaved.

use crate::common;

use bytes::Bytes;
use common::{feed, messages};
use engineio_parser::{Frames, PacketData};
use proptest::{collection::vec, option, prelude::*};
use socketio_parser::{
    AckId, Args, Content, DecodeError, Decoder, Limits, Nsp, Packet, Value, Values, encode_ack,
    encode_event, is_reserved,
};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // A whole number is written, and so read, as an integer.
        any::<f64>().prop_filter("fraction", |value| value.fract() != 0.0).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,6}".prop_map(Value::from),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::from(Bytes::from(bytes))),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z\"\\\\é]{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn nsp() -> impl Strategy<Value = Nsp> {
    prop_oneof![Just(Nsp::root()), "/[a-zé0-9?=\\[\"-]{0,8}".prop_map(|name| Nsp::unchecked(&name))]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z:]{1,8}", "[\\x00-\\x7f]{0,6}", "\\PC{0,6}"]
        .prop_filter("reserved", |name| !is_reserved(name))
}

fn no_limit_of_attachments() -> Decoder {
    Decoder::new(&Limits::default().max_attachments(usize::MAX))
}

fn decode(frames: &Frames) -> Packet {
    feed(&mut no_limit_of_attachments(), &messages(frames)).unwrap().unwrap()
}

fn args_of(packet: Packet) -> (Nsp, Option<AckId>, Args) {
    match packet.content {
        Content::Event { id, args } | Content::Ack { id, args } => (packet.nsp, id, args),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn events(nsp in nsp(), id in option::of(any::<u64>()), name in name(), values in vec(value(), 0..4)) {
        let id = id.map(AckId::from);
        let values = Values(values);
        let frames = encode_event(&nsp, id, &name, &values).unwrap();
        let (back_nsp, back_id, args) = args_of(decode(&frames));
        prop_assert_eq!((&back_nsp, back_id, args.event()), (&nsp, id, name.as_str()));
        prop_assert_eq!(args.len(), values.0.len());
        prop_assert_eq!(Values(args.values().unwrap()), values);
        // Received arguments that are emitted again give the same packet.
        let again = encode_event(&nsp, id, &name, &args).unwrap();
        prop_assert_eq!(messages(&again), messages(&frames));
    }

    #[test]
    fn acknowledgements(nsp in nsp(), id in any::<u64>(), values in vec(value(), 0..4)) {
        let frames = encode_ack(&nsp, id.into(), &Values(values.clone())).unwrap();
        let (back_nsp, back_id, args) = args_of(decode(&frames));
        prop_assert_eq!((back_nsp, back_id), (nsp, Some(id.into())));
        prop_assert_eq!(args.values().unwrap(), values);
    }

    /// Each argument is decoded to the value that was encoded.
    #[test]
    fn single_arguments(values in vec(value(), 1..4)) {
        let (_, _, args) = args_of(decode(&encode_event(&Nsp::root(), None, "e", &Values(values.clone())).unwrap()));
        prop_assert_eq!(args.decode::<Value>().unwrap(), values[0].clone());
        let (first, last): (Value, Option<Value>) = args.decode().unwrap();
        prop_assert_eq!(first, values[0].clone());
        let second = values.get(1).cloned().filter(|value| *value != Value::Null);
        prop_assert_eq!(last.filter(|value| *value != Value::Null), second);
    }

    /// A packet with attachments is decoded only from its messages in their order.
    #[test]
    fn broken_runs(values in vec(value(), 1..4), attachment in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), change in 0..3) {
        let attachment = Value::from(Bytes::from(attachment));
        let run = messages(&encode_event(&Nsp::root(), None, "e", &(values, attachment)).unwrap());
        let at = at.index(run.len());
        let mut broken = run.clone();
        match change {
            0 => drop(broken.remove(at)),
            1 => broken.insert(at, PacketData::Text("2[\"other\"]".into())),
            _ => broken.push(PacketData::Binary(Bytes::new())),
        }
        let outcome = feed(&mut no_limit_of_attachments(), &broken);
        match (change, at) {
            (0, 0) => prop_assert_eq!(outcome, Err(DecodeError::UnexpectedBinary)),
            (0, _) => prop_assert_eq!(outcome, Ok(None)),
            // Before the others, it is a packet of its own.
            (1, 0) => prop_assert!(outcome.unwrap().is_some()),
            (1, _) => prop_assert_eq!(outcome, Err(DecodeError::UnexpectedText)),
            _ => prop_assert_eq!(outcome, Err(DecodeError::UnexpectedBinary)),
        }
    }

    #[test]
    fn any_text_is_a_packet_or_an_error(text in r#"[0-7]?[0-9a-e/,\[\]{}":\\ .+-]{0,20}|[0-6]\PC{0,30}"#, attachments in vec(any::<Vec<u8>>(), 0..3)) {
        let text = PacketData::Text(text.into());
        let attachments = attachments.into_iter().map(|bytes| PacketData::Binary(bytes.into()));
        let run: Vec<PacketData> = std::iter::once(text).chain(attachments).collect();
        if let Ok(Some(packet)) = feed(&mut Decoder::new(&Limits::default()), &run) {
            let _ = format!("{packet:?}");
            if let Content::Event { args, .. } | Content::Ack { args, .. } = packet.content {
                prop_assert_eq!(args.iter().count(), args.len());
                // An accepted packet that is passed on is accepted again.
                let echo = encode_event(&packet.nsp, None, "echo", &args).unwrap();
                let (_, _, echoed) = args_of(decode(&echo));
                prop_assert_eq!(echoed.raw(), args.raw());
            }
        }
    }
}
