//! The fuzz targets pass for mutations of the golden vectors. A seeded generator makes failures
//! reproducible. Each test has the name of its fuzz target.

use crate::golden;

use std::time::{Duration, Instant};

use engineio_parser::fuzzing;
use proptest::{collection::vec, prelude::*};

const ROUNDS: usize = 4000;

#[test]
fn packet() {
    run(fuzzing::packet, seeds(&["packets", "packet_decodes"], "wire"));
}

#[test]
fn payload_v4() {
    run(fuzzing::payload_v4, seeds(&["payloads", "payload_decodes"], "body"));
}

#[test]
fn payload_v3() {
    run(fuzzing::payload_v3, seeds(&["payloads", "payload_decodes"], "body"));
}

#[test]
fn webtransport() {
    let streams = seeds(&["webtransport", "webtransport_decodes"], "stream");
    let seeds = streams.into_iter().map(|stream| [&[0, 60], &stream[..]].concat()).collect();
    run(fuzzing::webtransport, seeds);
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
    run(fuzzing::websocket, seeds.collect());
}

#[test]
fn handshake() {
    let packets = golden::list("handshakes");
    let seeds =
        packets.iter().map(|vector| vector["packet"].as_str().unwrap()[1..].into()).collect();
    run(fuzzing::handshake, seeds);
}

#[test]
fn session_ops() {
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    for _ in rounds() {
        let operations: Vec<u8> =
            (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect();
        fuzzing::session_ops(&operations);
    }
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

fn seeds(lists: &[&str], field: &str) -> Vec<Vec<u8>> {
    lists
        .iter()
        .flat_map(|list| golden::list(list))
        .map(|vector| golden::hex(&vector[field]))
        .collect()
}

fn run(body: fn(&[u8]), seeds: Vec<Vec<u8>>) {
    seeds.iter().for_each(|seed| body(seed));
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    for _ in rounds() {
        let mut data = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut data, &seeds, &mut random);
        }
        body(&data);
    }
}

/// Counts up to `ROUNDS`, or for `FUZZ_SECONDS` seconds if `cargo xtask fuzz` sets that variable.
fn rounds() -> impl Iterator<Item = usize> {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    (0..).take_while(move |round| end.map_or(*round < ROUNDS, |end| Instant::now() < end))
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut XorShift) {
    let at = random.below(data.len() + 1);
    match random.below(5) {
        0 => data.truncate(at),
        1 => data.insert(at, random.byte()),
        2 if at < data.len() => data[at] = random.byte(),
        3 if at < data.len() => drop(data.remove(at)),
        _ => {
            let other = &seeds[random.below(seeds.len())];
            data.splice(at..at, other.iter().copied());
        }
    }
}

struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Any byte. Bytes with a meaning in the protocol are more frequent.
    fn byte(&mut self) -> u8 {
        const SPECIAL: [u8; 12] =
            [0, 1, 0x1e, b':', b'b', b'4', b'9', b'"', 0x7e, 0x7f, 0x80, 0xff];
        let byte = self.next() as u8;
        if byte < 128 { SPECIAL[self.below(SPECIAL.len())] } else { self.next() as u8 }
    }
}
