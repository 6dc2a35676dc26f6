//! Codec benchmarks for the most common server traffic: small text, binary, and polling bodies of a
//! few packets. `serde_json` alone on the same JSON serves as a baseline.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engineio_parser::{
    ByteString, Frame, Packet, PacketType, Revision, payload,
    webtransport::{self, Decoder},
};

const EVENT: &str =
    r#"2["message",{"id":10000000,"user":"someone","text":"hello, this is a small event"}]"#;

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet");
    let text = ByteString::from(format!("4{EVENT}"));
    let base64 = ByteString::from(
        String::from_utf8_lossy(&Frame::binary(vec![7; 1024].into()).polling_text(Revision::V4))
            .into_owned(),
    );
    let binary = Bytes::from(vec![7; 1024]);

    group.bench_function("decode/text", |b| {
        b.iter(|| Packet::decode_text(black_box(text.clone()), Revision::V4));
    });
    group.bench_function("decode/binary 1 KiB", |b| {
        b.iter(|| Packet::decode_binary(black_box(binary.clone()), Revision::V4));
    });
    group.bench_function("decode/base64 1 KiB", |b| {
        b.iter(|| Packet::decode_text(black_box(base64.clone()), Revision::V4));
    });
    let json = &EVENT[1..];
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    group.bench_function("decode/serde_json alone", |b| {
        b.iter(|| serde_json::from_str::<serde::de::IgnoredAny>(black_box(json)).is_ok());
    });
    group.bench_function("encode/serde_json alone", |b| {
        b.iter(|| serde_json::to_vec(black_box(&value)).is_ok());
    });
    group.bench_function("encode/text", |b| {
        b.iter(|| Frame::text(PacketType::Message, black_box(EVENT)).websocket(Revision::V4));
    });
    group.bench_function("encode/binary 1 KiB", |b| {
        b.iter(|| Frame::binary(black_box(binary.clone())).websocket(Revision::V4));
    });
    group.finish();
}

fn payloads(c: &mut Criterion) {
    let mut frames = vec![Frame::text(PacketType::Message, EVENT); 9];
    frames.push(Frame::binary(vec![7; 1024].into()));
    for (name, revision, b64) in [
        ("v4", Revision::V4, true),
        ("v3 text", Revision::V3, true),
        ("v3 binary", Revision::V3, false),
    ] {
        let encoded = payload::encode(revision, b64, &frames);
        let mut group = c.benchmark_group(format!("payload/{name}"));
        group.throughput(Throughput::Bytes(encoded.body.len() as u64));
        group.bench_function("decode", |b| {
            b.iter(|| payload::decode(revision, encoded.body.clone(), encoded.binary).count());
        });
        group.bench_function("encode", |b| {
            b.iter(|| payload::encode(revision, b64, black_box(&frames)));
        });
        group.finish();
    }
}

fn streams(c: &mut Criterion) {
    let (header, packet) = webtransport::encode(&Frame::text(PacketType::Message, EVENT));
    let stream = [header.as_ref(), &packet].concat();
    c.bench_function("webtransport/decode", |b| {
        let mut decoder = Decoder::new(1_000_000);
        b.iter(|| {
            decoder.push(black_box(&stream));
            decoder.next()
        });
    });
}

criterion_group!(benches, packets, payloads, streams);
criterion_main!(benches);
