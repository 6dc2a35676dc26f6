//! Inputs that have broken other implementations.

use crate::common;

use bytes::Bytes;
use common::{args, decode, feed};
use engineio_parser::PacketData;
use serde::{Deserialize, Serialize};
use socketio_parser::{
    Args, Binary, ByteString, DecodeError, Decoder, EncodeError, Limits, Nsp, encode_event,
};

/// A message gives at most one packet, and gives it once. A decode loop could make no progress.
#[test]
fn every_message_is_consumed() {
    let mut decoder = Decoder::new(&Limits::default());
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    let text = ByteString::from(format!("51-[\"e\",{placeholder}]"));
    for _ in 0..3 {
        assert_eq!(decoder.decode_text(text.clone()), Ok(None));
        assert!(decoder.is_unfinished());
        assert!(decoder.decode_binary(Bytes::new()).is_ok_and(|packet| packet.is_some()));
        assert!(!decoder.is_unfinished());
    }
    // The same after an error.
    assert!(decoder.decode_text("2{".into()).is_err());
    assert!(decoder.decode_text("2[\"e\"]".into()).is_ok_and(|packet| packet.is_some()));
}

/// Every truncation and every changed byte of packets that use the whole syntax.
#[test]
fn malformed_input_neither_panics_nor_overflows() {
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    for whole in [
        format!(r#"51-/nsp,12["n\u0061me",{placeholder},-1.5e-3,[true,null]]"#),
        r#"0/nsp,{"a":{"b":["é😀"]}}"#.into(),
        "618446744073709551616-/,999999999999999999999[]".into(),
    ] {
        let whole = whole.as_str();
        for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let _ = decode(&whole[..end], &[b"x"]);
        }
        for at in 0..whole.len() {
            for byte in [0, b'"', b'\\', b'[', b'}', b'9', b'-', b',', 0x7f] {
                let mut changed = whole.as_bytes().to_vec();
                changed[at] = byte;
                if let Ok(text) = std::str::from_utf8(&changed) {
                    let _ = decode(text, &[b"x"]).map(|packet| format!("{packet:?}"));
                }
            }
        }
    }
}

#[test]
fn a_binary_packet_announces_at_least_one_attachment() {
    for text in [r#"50-["e"]"#, "60-1[]", r#"5-["e"]"#, r#"50.0-["e"]"#, r#"5["e"]"#] {
        assert_eq!(decode(text, &[]), Err(DecodeError::IllegalAttachmentCount), "{text}");
    }
}

/// The index of a placeholder is out of range, not a number, or the name of an array's method, at any
/// depth and in any form.
#[test]
fn a_placeholder_names_an_attachment_that_is_there() {
    let illegal = Err(DecodeError::IllegalAttachments);
    for num in ["1", "-1", "1e300", "0.5", "\"0\"", "\"splice\"", "null", "true", "[0]", "{}"] {
        for deep in ["ARG", r#"[{"a":[ARG]}]"#, r#"{"a":1,"num":0,"b":ARG}"#] {
            let arg = deep.replace("ARG", &format!(r#"{{"num":{num},"_placeholder":true}}"#));
            assert_eq!(decode(&format!("51-[\"e\",{arg}]"), &[b"x"]), illegal, "{arg}");
            assert_eq!(decode(&format!("61-1[{arg}]"), &[b"x"]), illegal, "{arg}");
        }
    }
    assert_eq!(decode(r#"51-["e",{"_placeholder":true}]"#, &[b"x"]), illegal);
    assert_eq!(decode(r#"51-["e",{"_placeholder":true,"n\u0075m":4}]"#, &[b"x"]), illegal);
    assert_eq!(decode(r#"51-["e",{"num":0,"_placehold\u0065r":true,"num":3}]"#, &[b"x"]), illegal);
}

#[test]
fn an_event_name_is_a_string_or_a_number_and_not_reserved() {
    for name in
        ["null", "true", "[]", "{}", "\"connect\"", "\"disconnecting\"", "\"c\\u006fnnect\""]
    {
        let event = decode(&format!("2[{name},1]"), &[]);
        assert_eq!(event, Err(DecodeError::InvalidPayload), "{name}");
    }
    assert_eq!(args("2[1e2,1]", &[]).event(), "100");
    assert_eq!(args("2[-0.50]", &[]).event(), "-0.5");
    // A client may send such keys, and no code may fail because of them.
    assert_eq!(args("2[\"error\"]", &[]).event(), "error");
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
    {
        let refused = encode_event(&Nsp::root(), None, name, &());
        assert!(matches!(refused, Err(EncodeError::ReservedEvent(it)) if it == name));
    }
}

#[test]
fn a_stray_binary_message_is_an_error() {
    let mut decoder = Decoder::new(&Limits::default());
    let stray = || Bytes::from_static(b"x");
    assert_eq!(decoder.decode_binary(stray()), Err(DecodeError::UnexpectedBinary));
    assert!(decode(r#"51-["e"]"#, &[b"1"]).is_ok());
    assert_eq!(decode(r#"51-["e"]"#, &[b"1", b"2"]), Err(DecodeError::UnexpectedBinary));
    assert_eq!(decode(r#"2["e"]"#, &[b"1"]), Err(DecodeError::UnexpectedBinary));
}

/// A packet between a header and its attachments is an error.
#[test]
fn text_between_attachments_is_an_error() {
    let header = PacketData::Text(r#"52-["e"]"#.into());
    let binary = PacketData::Binary(Bytes::from_static(b"x"));
    let mut decoder = Decoder::new(&Limits::default());
    let interleaved = [header.clone(), binary.clone(), PacketData::Text("2[\"other\"]".into())];
    assert_eq!(feed(&mut decoder, &interleaved), Err(DecodeError::UnexpectedText));
    // The rest of the broken packet is an error too.
    assert_eq!(feed(&mut decoder, &[binary]), Err(DecodeError::UnexpectedBinary));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep {
    name: String,
    #[serde(flatten)]
    inner: Inner,
    tagged: Tagged,
    untagged: Untagged,
    next: Option<Box<Deep>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    picture: Binary,
    more: Vec<Binary>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    File { body: Binary },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number { a: u8 },
    Bytes(Binary),
}

fn deep(buffers: &[Bytes]) -> Deep {
    let binary = |index: usize| Binary(buffers[index].clone());
    Deep {
        name: "outer".into(),
        inner: Inner { picture: binary(0), more: vec![binary(1), binary(2)] },
        tagged: Tagged::File { body: binary(3) },
        untagged: Untagged::Bytes(binary(4)),
        next: Some(Box::new(Deep {
            name: "inner".into(),
            inner: Inner { picture: binary(5), more: vec![] },
            tagged: Tagged::File { body: binary(6) },
            untagged: Untagged::Number { a: 1 },
            next: None,
        })),
    }
}

fn received(frames: &engineio_parser::Frames) -> Args {
    let mut decoder = Decoder::new(&Limits::default());
    match feed(&mut decoder, &common::messages(frames)).unwrap().unwrap().content {
        socketio_parser::Content::Event { args, .. } => args,
        other => panic!("{other:?}"),
    }
}

/// Binary deep inside a user's object is neither lost nor copied when it is sent, received or passed
/// on.
#[test]
fn binary_deep_inside_an_object_arrives_without_a_copy() {
    let buffers: Vec<Bytes> = (0..7).map(|fill| Bytes::from(vec![fill; 4096])).collect();
    let sent = deep(&buffers);
    let frames = encode_event(&Nsp::root(), None, "e", &sent).unwrap();
    let same = |left: &Bytes, right: &Bytes| left.as_ptr() == right.as_ptr() && left == right;
    let payloads: Vec<Bytes> = frames.iter().skip(1).map(|frame| frame.payload()).collect();
    assert_eq!(payloads.len(), 7);
    assert!(payloads.iter().zip(&buffers).all(|(sent, ours)| same(sent, ours)));

    let args = received(&frames);
    let back: Deep = args.decode().unwrap();
    assert_eq!(back, sent);
    assert!(same(&back.inner.more[1].0, &buffers[2]));
    assert!(same(&back.next.unwrap().inner.picture.0, &buffers[5]));

    let echoed = received(&encode_event(&Nsp::root(), None, "e", &args).unwrap());
    assert_eq!(echoed, args);
    assert!(same(&echoed.attachments()[6], &buffers[6]));
}
