//! The fuzz targets hold for mutations of the golden vectors. A fixed generator makes them, so that a failure repeats.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use socketio_parser::fuzzing;

const ROUNDS: usize = 10_000;

#[test]
fn decode() {
    let mut random = Random(1);
    let seeds = packets();
    for round in rounds() {
        let seed = &seeds[round % seeds.len()];
        fuzzing::decode(&random.mutate(seed, &seeds));
    }
}

#[test]
fn msgpack() {
    let mut random = Random(3);
    let vectors: Json = serde_json::from_str(include_str!("../golden/msgpack.json")).unwrap();
    let lists = vectors.as_object().unwrap().values().flat_map(|list| list.as_array().unwrap());
    let seeds: Vec<Vec<u8>> = lists.map(|vector| unhex(vector["wire"].as_str().unwrap())).collect();
    for round in rounds() {
        let seed = &seeds[round % seeds.len()];
        fuzzing::msgpack(&random.mutate(seed, &seeds));
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn connection_ops() {
    let mut random = Random(2);
    let packets = packets();
    for _ in rounds() {
        let mut ops = vec![random.byte() % 4];
        for _ in 0..random.below(200) {
            let op = random.byte();
            match op % 11 {
                // Seldom, as most of them end the connection.
                kind @ 0..=2 if random.below(8) == 0 => {
                    let packet = &packets[random.below(packets.len())];
                    let message = packet.split(|byte| *byte == 0x1e).next().unwrap();
                    let message = &message[..message.len().min(63)];
                    ops.extend([kind, message.len() as u8]);
                    ops.extend(message);
                }
                0..=2 => ops.extend([10 + op / 11 % 6 * 11, random.byte()]),
                _ => ops.extend([op, random.byte()]),
            }
        }
        fuzzing::connection_ops(&ops);
        fuzzing::connection_ops(&random.mutate(&ops, &packets));
    }
}

/// As many rounds as a test may take, or as `cargo xtask fuzz` has seconds for.
fn rounds() -> impl Iterator<Item = usize> {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    (0..).take_while(move |round| end.map_or(*round < ROUNDS, |end| Instant::now() < end))
}

/// Every packet of the golden vectors, its messages separated by `0x1e`.
fn packets() -> Vec<Vec<u8>> {
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

/// SplitMix64: the same bytes on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    fn mutate(&mut self, seed: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 => bytes.insert(at, *b"[]{}\",:\\-/0159eu\x1e".get(self.below(17)).unwrap()),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len() + 1);
                    bytes.splice(at..at, other[from..].iter().copied());
                }
            }
        }
        bytes
    }
}
