//! The memory that decoding a hostile message takes, measured at the allocator, stays below
//! `max_decoded_bytes`. This test is a program of its own because the measurement covers the whole
//! process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

use peak_alloc::PeakAlloc;
use socketio_adapter::{ClusterLimits, Message, MessageError, recovery::SavedSession};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SIZE: usize = 200_000;

/// Repeats `part` as often as it fits between `head` and `tail`. `head` ends with a 32-bit length,
/// which is filled in.
fn filled(head: &[u8], part: &[u8], tail: &[u8]) -> Vec<u8> {
    let count = (SIZE - head.len() - 4 - tail.len()) / part.len();
    let mut wire = head.to_vec();
    wire.extend((count as u32).to_be_bytes());
    wire.extend(part.repeat(count));
    wire.extend(tail);
    wire
}

/// Returns a JSON text with `part` repeated as often as it fits between `head` and `tail`.
fn text(head: &str, part: &str, tail: &str) -> Vec<u8> {
    let count = (SIZE - head.len() - tail.len()) / part.len();
    format!("{head}{}{tail}", part.repeat(count)).into_bytes()
}

/// Returns `{type: 3, data: {opts: {}, packet: {type: 2, data: ["x", ` and the head of one more
/// value.
fn event(value: &[u8], part: &[u8]) -> Vec<u8> {
    let head = b"\x84\xa4type\x03\xa3uid\xa11\xa3nsp\xa1/\xa4data\x82\xa4opts\x80\
                 \xa6packet\x82\xa4type\x02\xa4data\x92\xa1x";
    filled(&[head, value].concat(), part, &[])
}

/// Returns a message whose `opts.rooms` is a list, which only the adapter decodes.
fn rooms(part: &[u8]) -> Vec<u8> {
    let head = b"\x84\xa4type\x06\xa3uid\xa11\xa3nsp\xa1/\xa4data\x81\xa4opts\x81\xa5rooms\xdd";
    filled(head, part, &[])
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let keys: Vec<u8> = (0..SIZE as u32 / 7)
        .flat_map(|n| {
            let digits = format!("{n:05x}");
            [b"\xa5", digits.as_bytes(), b"\xc0"].concat()
        })
        .collect();
    let mut members = b"\x84\xa4type\x03\xa3uid\xa11\xa3nsp\xa1/\xa4data\x82\xa4opts\x80\
        \xa6packet\x82\xa4type\x02\xa4data\x92\xa1x\xdf"
        .to_vec();
    members.extend((SIZE as u32 / 7).to_be_bytes());
    members.extend(keys);
    vec![
        ("nulls", event(b"\xdd", b"\xc0")),
        ("small numbers", event(b"\xdd", b"\x01")),
        ("floats", event(b"\xdd", b"\xcb\xbf\xf1\x23\x45\x67\x89\xab\xcd")),
        ("empty objects", event(b"\xdd", b"\x80")),
        ("empty lists", event(b"\xdd", b"\x90")),
        ("lists of one", event(b"\xdd", b"\x91\xc0")),
        ("objects of one", event(b"\xdd", b"\x81\xa0\xc0")),
        ("members of one object", members),
        ("empty texts", event(b"\xdd", b"\xa0")),
        ("texts of one", event(b"\xdd", b"\xa1x")),
        ("control characters", event(b"\xdb", b"\x01")),
        ("empty binary", event(b"\xdd", b"\xc4\x00")),
        ("dates", event(b"\xdd", b"\xd6\xff\0\0\0\0")),
        ("rooms", rooms(b"\xa0")),
        ("rooms that are numbers", rooms(b"\x01")),
        ("rooms that are lists", rooms(b"\x90")),
        ("a list of lists, no message", filled(b"\xdd", b"\x90", &[])),
        (
            "rooms in JSON",
            text(r#"{"type":6,"uid":"1","nsp":"/","data":{"opts":{"rooms":[1"#, ",1", "]}}}"),
        ),
        (
            "lists in JSON",
            text(r#"{"type":6,"uid":"1","nsp":"/","data":{"opts":{"rooms":[1"#, ",[]", "]}}}"),
        ),
        (
            "objects in JSON",
            text(
                r#"{"type":8,"uid":"1","nsp":"/","data":{"requestId":"r","sockets":[{}"#,
                r#",{"":1}"#,
                "]}}",
            ),
        ),
        (
            "arguments in JSON",
            text(
                r#"{"type":3,"uid":"1","nsp":"/","data":{"opts":{},"packet":{"type":2,"data":["x",[1"#,
                ",1",
                "]]}}}",
            ),
        ),
    ]
}

/// Returns the peak of additional memory while `work` runs, in bytes.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    (ALLOCATOR.peak_usage().saturating_sub(before), result)
}

// A single test, because concurrent tests would count each other's memory.
#[test]
fn decoding_takes_no_more_memory_than_its_limit() {
    // An accepted message takes at most the memory that was counted for it.
    let generous = ClusterLimits::default();
    for (name, wire) in cases() {
        let (free, result) = peak(|| Message::decode(&wire, &generous));
        assert!(!matches!(result, Err(MessageError::TooCostly { .. })), "{name}: {result:?}");
        drop(result);
        println!("{name}: {:.1} times", free as f64 / wire.len() as f64);
        for limit in [600_000, 2_000_000, 6_000_000, 20_000_000, 24_000_000] {
            let limits = ClusterLimits::default().max_decoded_bytes(limit);
            let (taken, result) = peak(|| Message::decode(&wire, &limits));
            assert!(taken <= limit, "{name}: {taken} bytes where {limit} are allowed");
            if let Err(MessageError::TooCostly { limit: named }) = result {
                assert_eq!(named, limit);
            }
        }
    }

    // The default limit is derived from `max_message_bytes`.
    let limits = ClusterLimits::default().max_message_bytes(SIZE);
    let (taken, result) = peak(|| Message::decode(&event(b"\xdd", b"\xc0"), &limits));
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "decoding takes more than 6000000 bytes (`max_decoded_bytes`)");
    assert!(taken <= 6_000_000 + SIZE, "{taken}");

    // Stored sessions are not trusted either.
    let session = filled(b"\x81\xa4data\xdd", b"\x90", &[]);
    let refused = SavedSession::from_msgpack(&session, &limits);
    assert!(matches!(refused, Err(MessageError::TooCostly { .. })), "{refused:?}");

    // A large ordinary message is far below the limit.
    let plain = value_of_an_ordinary_kind();
    Message::decode(&plain, &ClusterLimits::default()).unwrap();
}

/// Returns ten megabytes of records.
fn value_of_an_ordinary_kind() -> Vec<u8> {
    let record = b"\x84\xa2id\xcd\x12\x34\xa4name\xafFirst Last Name\xa4text\xd9\x40\
        0123456789012345678901234567890123456789012345678901234567890123\xa2ok\xc3";
    let head = b"\x84\xa4type\x03\xa3uid\xa11\xa3nsp\xa1/\xa4data\x82\xa4opts\x80\
                 \xa6packet\x82\xa4type\x02\xa4data\x92\xa1x\xdd";
    let count = 9_900_000 / record.len();
    let mut wire = head.to_vec();
    wire.extend((count as u32).to_be_bytes());
    wire.extend(record.repeat(count));
    wire
}
