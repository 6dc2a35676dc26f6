//! What a packet costs, beside what `serde_json` alone costs for the same arguments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(missing_docs)] // criterion_group! writes a function without any

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use socketio_parser::{
    AckId, Binary, ByteString, Content, Decoder, Limits, Nsp, Packet, encode_event,
};

#[derive(Serialize, Deserialize)]
struct Message {
    id: u64,
    user: String,
    text: String,
    urgent: bool,
}

#[derive(Serialize, Deserialize)]
struct Document {
    title: String,
    version: u32,
    sections: Vec<Section>,
}

#[derive(Serialize, Deserialize)]
struct Section {
    heading: String,
    weight: f64,
    tags: Vec<String>,
    points: Vec<(i32, i32)>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Upload {
    name: String,
    body: Binary,
    preview: Binary,
}

/// What `Upload` is without attachments: for `serde_json` alone.
#[derive(Serialize, Deserialize)]
struct Placeholders {
    name: String,
    body: Placeholder,
    preview: Placeholder,
}

#[derive(Serialize, Deserialize)]
struct Placeholder {
    _placeholder: bool,
    num: usize,
}

fn message() -> Message {
    Message {
        id: 10_000_000,
        user: "alice".into(),
        text: "how are you today?".into(),
        urgent: false,
    }
}

fn document() -> Document {
    let section = |index: u32| Section {
        heading: format!("Section number {index}"),
        weight: 0.25 + f64::from(index),
        tags: ["alpha", "beta", "gamma"].map(String::from).into(),
        points: (0..6).map(|x| (x * 10, x - 3)).collect(),
        note: index
            .is_multiple_of(2)
            .then(|| "a somewhat longer line of text, as people write them".into()),
    };
    Document { title: "Nested".into(), version: 3, sections: (0..5).map(section).collect() }
}

fn upload() -> Upload {
    Upload {
        name: "picture.png".into(),
        body: Binary(Bytes::from(vec![1; 1000])),
        preview: Binary(Bytes::from(vec![2; 100])),
    }
}

fn encode<T: Serialize>(nsp: &Nsp, id: Option<AckId>, args: &T) -> engineio_parser::Frames {
    encode_event(nsp, id, "message", args).unwrap()
}

/// The messages a peer gets: a text without the Engine.IO digit, and attachments.
fn messages<T: Serialize>(nsp: &Nsp, id: Option<AckId>, args: &T) -> (ByteString, Vec<Bytes>) {
    let frames = encode(nsp, id, args);
    let mut payloads = frames.iter().map(|frame| frame.payload());
    let text = payloads.next().unwrap().slice(1..);
    (text.try_into().unwrap(), payloads.collect())
}

fn decode<T: DeserializeOwned>(decoder: &mut Decoder, text: &ByteString, binary: &[Bytes]) -> T {
    let mut packet = decoder.decode_text(text.clone()).unwrap();
    for attachment in binary {
        packet = decoder.decode_binary(attachment.clone()).unwrap();
    }
    match packet {
        Some(Packet { content: Content::Event { args, .. }, .. }) => args.decode().unwrap(),
        _ => panic!("no event"),
    }
}

fn case<T: Serialize + DeserializeOwned, J: Serialize + DeserializeOwned>(
    criterion: &mut Criterion,
    (name, nsp, id): (&str, &Nsp, Option<AckId>),
    args: &T,
    plain: &J,
) {
    let mut group = criterion.benchmark_group(name);
    let (text, binary) = messages(nsp, id, args);
    let json = serde_json::to_string(plain).unwrap();
    println!("{name}: {} bytes of text, {} bytes of JSON", text.len(), json.len());

    let mut decoder = Decoder::new(&Limits::default());
    group.bench_function("decode", |bencher| {
        bencher.iter(|| decode::<T>(&mut decoder, black_box(&text), &binary));
    });
    group.bench_function("decode/no arguments", |bencher| {
        bencher.iter(|| decode::<()>(&mut decoder, black_box(&text), &binary));
    });
    group.bench_function("decode/serde_json alone", |bencher| {
        bencher.iter(|| serde_json::from_str::<J>(black_box(&json)).unwrap());
    });
    group.bench_function("encode", |bencher| {
        bencher.iter(|| encode(nsp, id, black_box(args)));
    });
    group.bench_function("encode/serde_json alone", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(plain)).unwrap());
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let placeholder = |num| Placeholder { _placeholder: true, num };
    let placeholders =
        Placeholders { name: "picture.png".into(), body: placeholder(0), preview: placeholder(1) };
    case(criterion, ("small event", &Nsp::root(), None), &message(), &message());
    let nested =
        ("1 KB nested, namespace and ack", &Nsp::new("/admin").unwrap(), Some(AckId::from(42)));
    case(criterion, nested, &document(), &document());
    case(criterion, ("binary, 2 attachments", &Nsp::root(), None), &upload(), &placeholders);
}

criterion_group!(benches, codec);
criterion_main!(benches);
