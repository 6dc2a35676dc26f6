//! Arbitrary packets and payloads mean the same to Node's parser. `cargo xtask test client` and
//! `cargo xtask fuzz` run these tests.

use bytes::Bytes;
use engineio_parser::{Packet, PacketData, PayloadError, Revision, payload};
use fuzz::{NodeParser, run};
use serde_json::{Value, json};

use crate::fuzz_bodies::seeds;

const ROUNDS: u64 = 20_000;

#[test]
#[ignore = "needs Node; `cargo xtask test client` and `cargo xtask fuzz` run it"]
fn node_packet() {
    let mut node = NodeParser::start('e');
    let seeds = seeds(&["packets", "packet_decodes"], "wire");
    run("node_packet", ROUNDS, &seeds, |input| {
        if str::from_utf8(input).is_ok_and(comparable) {
            node.add(input, packet);
        }
    });
    node.finish(packet);
}

#[test]
#[ignore = "needs Node; `cargo xtask test client` and `cargo xtask fuzz` run it"]
fn node_payload_v4() {
    let mut node = NodeParser::start('E');
    let seeds = seeds(&["payloads", "payload_decodes"], "body");
    run("node_payload_v4", ROUNDS, &seeds, |input| {
        if str::from_utf8(input).is_ok_and(|text| text.split('\x1e').all(comparable)) {
            node.add(input, body_v4);
        }
    });
    node.finish(body_v4);
}

/// Each body as text and as binary data.
#[test]
#[ignore = "needs Node; `cargo xtask test client` and `cargo xtask fuzz` run it"]
fn node_payload_v3() {
    let (mut text, mut binary) = (NodeParser::start('v'), NodeParser::start('V'));
    let seeds = seeds(&["payloads", "payload_decodes"], "body");
    run("node_payload_v3", ROUNDS, &seeds, |input| {
        if comparable_text_v3(input) {
            text.add(input, text_v3);
        }
        // Node accepts an empty body if it is binary.
        if !input.is_empty() {
            binary.add(input, binary_v3);
        }
    });
    text.finish(text_v3);
    binary.finish(binary_v3);
}

/// Of characters outside Latin-1, Node's decoder of base64 reads the low byte, so that `U+013D` ends
/// the data like `=`. This decoder skips them.
fn comparable(packet: &str) -> bool {
    !packet.starts_with('b') || !packet.contains(|c| c > '\u{ff}')
}

/// Of characters outside Latin-1 in base64, see [`comparable`].
fn comparable_text_v3(input: &[u8]) -> bool {
    str::from_utf8(input).is_ok_and(|text| !(text.contains('b') && text.contains(|c| c > '\u{ff}')))
}

fn packet(input: &[u8], found: &str) {
    let text = str::from_utf8(input).unwrap();
    compare(input, &described(Packet::decode_text(text.into(), Revision::V4).ok()), found);
}

fn body_v4(input: &[u8], found: &str) {
    let packets = payload::decode(Revision::V4, Bytes::copy_from_slice(input), false);
    let packets: Value = packets.map(|packet| described(packet.ok())).collect();
    compare(input, &packets, found);
}

fn text_v3(input: &[u8], found: &str) {
    body_v3(input, false, found);
}

fn binary_v3(input: &[u8], found: &str) {
    body_v3(input, true, found);
}

/// Node's parser accepts lengths that this one refuses: in text, other numbers than decimals, and half a
/// surrogate pair. In binary bodies, other bytes than digits, a packet that ends early, and base64 that
/// is not UTF-8. Such a body is not compared. Of a binary body, Node reads all lengths before the first
/// packet.
fn body_v3(input: &[u8], binary: bool, found: &str) {
    let packets = payload::decode(Revision::V3, Bytes::copy_from_slice(input), binary);
    let packets: Vec<_> = packets.collect();
    let comparable = packets.last().is_none_or(|last| match last {
        Ok(_) => true,
        Err(_) if binary && found == "[null]" => false,
        Err(PayloadError::InvalidUtf8) => !binary || !input.contains(&b'b'),
        Err(error) => !matches!(
            error,
            PayloadError::InvalidLength
                | PayloadError::LengthMismatch
                | PayloadError::UnknownMarker(_)
        ),
    });
    if comparable {
        compare(input, &packets.into_iter().map(|packet| described(packet.ok())).collect(), found);
    }
}

fn compare(input: &[u8], ours: &Value, found: &str) {
    let found: Value = serde_json::from_str(found).unwrap();
    assert_eq!(*ours, found, "ours and Node's of b\"{}\"", input.escape_ascii());
}

/// A packet in the form of `interop/servers/parsers.mjs`.
fn described(packet: Option<Packet>) -> Value {
    let Some(Packet { kind, data }) = packet else { return Value::Null };
    let kind = format!("{kind:?}").to_lowercase();
    match data {
        PacketData::Text(text) => json!({ "type": kind, "text": &*text }),
        PacketData::Binary(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "type": kind, "hex": hex })
        }
    }
}
