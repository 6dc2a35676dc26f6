//! The golden vectors. `cargo xtask golden` makes them with Node's own parsers.
#![allow(dead_code, reason = "each test uses some of these")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a panic fails the test")]

use engineio_parser::{Packet, PacketData, PacketType, Revision};
use serde_json::Value;

/// The list of vectors called `name`.
pub(crate) fn list(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let list =
        all[name].as_array().unwrap_or_else(|| panic!("the vectors have no list {name}")).clone();
    assert!(!list.is_empty());
    list
}

pub(crate) fn revision(vector: &Value) -> Revision {
    match vector["revision"].as_u64() {
        Some(3) => Revision::V3,
        Some(4) => Revision::V4,
        _ => panic!("no revision in {vector}"),
    }
}

pub(crate) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap()
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn packets(value: &Value) -> Vec<Packet> {
    value.as_array().unwrap().iter().map(packet).collect()
}

pub(crate) fn packet(value: &Value) -> Packet {
    let kind = match value["type"].as_str().unwrap() {
        "open" => PacketType::Open,
        "close" => PacketType::Close,
        "ping" => PacketType::Ping,
        "pong" => PacketType::Pong,
        "message" => PacketType::Message,
        "upgrade" => PacketType::Upgrade,
        "noop" => PacketType::Noop,
        other => panic!("unknown packet type: {other}"),
    };
    match value["text"].as_str() {
        Some(text) => Packet::text(kind, text),
        None => Packet::new(kind, PacketData::Binary(hex(&value["hex"]).into())),
    }
}
