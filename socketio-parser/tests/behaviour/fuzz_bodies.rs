//! The fuzz targets hold for mutations of the golden vectors. Each test has the name of its fuzz
//! target.

use fuzz::run;
use serde_json::Value as Json;
use socketio_parser::fuzzing;

const ROUNDS: u64 = 10_000;

#[test]
fn decode() {
    run("decode", ROUNDS, &packets(), fuzzing::decode);
}

#[test]
fn msgpack() {
    run("msgpack", ROUNDS, &msgpack_packets(), fuzzing::msgpack);
}

#[test]
fn connection_ops() {
    // The role, then a connected namespace.
    const ROLES: [&[u8]; 4] =
        [&[0, 5, 0], &[1, 1, 1, b'0', 3, 0], &[2, 1, 1, b'0', 3, 0], &[3, 5, 0]];
    let mut seeds = Vec::new();
    for (index, packet) in packets().iter().enumerate() {
        let message = packet.split(|byte| *byte == 0x1e).next().unwrap();
        let message = &message[..message.len().min(63)];
        seeds.push([ROLES[index % 4], &[1, message.len() as u8], message].concat());
    }
    for (index, mut operations) in fuzz::sequences(200, 200).into_iter().enumerate() {
        // Most random messages end the connection, so well-formed ones take their place.
        for pair in operations.chunks_exact_mut(2).filter(|pair| pair[0] % 11 < 3) {
            pair[0] = 10 + pair[0] / 11 % 6 * 11;
        }
        seeds.push([ROLES[index % 4], &operations].concat());
    }
    run("connection_ops", ROUNDS, &seeds, fuzzing::connection_ops);
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Every msgpack packet of the golden vectors.
pub(crate) fn msgpack_packets() -> Vec<Vec<u8>> {
    let vectors: Json = serde_json::from_str(include_str!("../golden/msgpack.json")).unwrap();
    let lists = vectors.as_object().unwrap().values().flat_map(|list| list.as_array().unwrap());
    lists.map(|vector| unhex(vector["wire"].as_str().unwrap())).collect()
}

/// Every packet of the golden vectors, its messages separated by `0x1e`.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let vectors: Json = serde_json::from_str(include_str!("../golden/vectors.json")).unwrap();
    let lists = ["encoded", "accepted", "rejected", "different"]
        .map(|list| vectors[list].as_array().unwrap());
    let packets = lists.into_iter().flatten().map(|vector| {
        let mut packet = vector["text"].as_str().unwrap().as_bytes().to_vec();
        for _ in vector["attachments"].as_array().unwrap() {
            packet.extend(b"\x1ex");
        }
        packet
    });
    packets.chain(std::iter::once(b"0/a,{}".to_vec())).collect()
}
