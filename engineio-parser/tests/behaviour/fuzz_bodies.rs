//! The fuzz targets pass for mutations of the golden vectors. Each test has the name of its
//! fuzz target.

use crate::golden;

use engineio_parser::fuzzing;
use fuzz::run;
use proptest::{collection::vec, prelude::*};

const ROUNDS: u64 = 4000;

#[test]
fn packet() {
    run("packet", ROUNDS, &seeds(&["packets", "packet_decodes"], "wire"), fuzzing::packet);
}

#[test]
fn payload_v4() {
    run(
        "payload_v4",
        ROUNDS,
        &seeds(&["payloads", "payload_decodes"], "body"),
        fuzzing::payload_v4,
    );
}

#[test]
fn payload_v3() {
    run(
        "payload_v3",
        ROUNDS,
        &seeds(&["payloads", "payload_decodes"], "body"),
        fuzzing::payload_v3,
    );
}

#[test]
fn webtransport() {
    let streams = seeds(&["webtransport", "webtransport_decodes"], "stream");
    let seeds: Vec<_> =
        streams.into_iter().map(|stream| [&[0, 60], &stream[..]].concat()).collect();
    run("webtransport", ROUNDS, &seeds, fuzzing::webtransport);
}

#[test]
fn websocket() {
    // Each message as a client and as a server sends it, to a decoder that accepts compressed
    // messages of up to 63 fragments and 4080 bytes.
    let messages = seeds(&["packets", "packet_decodes"], "wire");
    let seeds = messages.iter().flat_map(|message| {
        [(0xfe, Some([1, 2, 3, 4])), (0xff, None)].map(|(kind, mask)| {
            let frame =
                |first, payload: &[u8]| engineio_parser::websocket::encode(first, mask, payload);
            let (begin, end) = message.split_at(message.len() / 2);
            let frames = [frame(0x01, begin), frame(0x89, b"!"), frame(0x80, end)];
            [&[kind, 4, 0xff], &frames.concat()[..], &frame(0xc2, message), &frame(0x88, &[3, 232])]
                .concat()
        })
    });
    run("websocket", ROUNDS, &seeds.collect::<Vec<_>>(), fuzzing::websocket);
}

#[test]
fn handshake() {
    let packets = golden::list("handshakes");
    let seeds: Vec<_> =
        packets.iter().map(|vector| vector["packet"].as_str().unwrap()[1..].into()).collect();
    run("handshake", ROUNDS, &seeds, fuzzing::handshake);
}

#[test]
fn session_ops() {
    run("session_ops", ROUNDS, &fuzz::sequences(200, 200), fuzzing::session_ops);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in vec(any::<u8>(), 0..300)) {
        fuzzing::packet(&data);
        fuzzing::payload_v4(&data);
        fuzzing::payload_v3(&data);
        fuzzing::websocket(&data);
        fuzzing::webtransport(&data);
        fuzzing::handshake(&data);
    }
}

pub(crate) fn seeds(lists: &[&str], field: &str) -> Vec<Vec<u8>> {
    lists
        .iter()
        .flat_map(|list| golden::list(list))
        .map(|vector| golden::hex(&vector[field]))
        .collect()
}
