//! Compares the decoder with tungstenite's reader on the same bytes, for both ends.

use std::io::{self, Cursor, Read, Write};

use engineio_parser::{
    WebSocketError,
    websocket::{Decoded, Decoder, Incoming, Message, close_code, encode},
};
use proptest::{collection::vec, prelude::*, sample::select};
use tungstenite::{
    Error, Message as Reference,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

const LIMIT: usize = 1000;

proptest! {
    /// Complete and mostly valid frames: both readers return the same messages, and both or neither
    /// fail.
    #[test]
    fn both_readers_agree_on_frames((role, frames) in frames(0..12), chunk in 1..2000_usize) {
        let (ours, theirs) = (read(role, &frames, chunk), reference(role, &frames));
        if theirs.broken_text {
            return fails_later(&ours, &theirs);
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert_eq!(ours.failed, theirs.failed, "{:02x?}", frames);
    }

    /// Arbitrary bytes: both readers return the same messages, and this one fails if tungstenite's
    /// does. It fails earlier, when it sees the header.
    #[test]
    fn both_readers_agree_on_arbitrary_bytes((role, frames) in frames(0..3), noise in vec(any::<u8>(), 0..200), chunk in 1..20_usize) {
        let bytes = [frames, noise].concat();
        let (ours, theirs) = (read(role, &bytes, chunk), reference(role, &bytes));
        if theirs.broken_text {
            return fails_later(&ours, &theirs);
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert!(ours.failed || !theirs.failed, "{:02x?}", bytes);
    }

    #[test]
    fn messages_do_not_depend_on_the_size_of_reads((role, frames) in frames(0..12), chunk in 1..300_usize) {
        let (pieces, whole) = (read(role, &frames, chunk), read(role, &frames, usize::MAX));
        prop_assert_eq!(pieces.messages, whole.messages);
        prop_assert_eq!(pieces.failed, whole.failed);
    }
}

/// tungstenite checks the UTF-8 of each fragment. The decoder checks that of the complete message.
fn fails_later(ours: &Outcome, theirs: &Outcome) -> Result<(), TestCaseError> {
    prop_assert!(ours.messages.starts_with(&theirs.messages));
    prop_assert!(ours.failed || ours.incomplete);
    Ok(())
}

/// Frames for the reader of this role. One in twenty is masked as if for the other.
fn frames(number: std::ops::Range<usize>) -> impl Strategy<Value = (Role, Vec<u8>)> {
    let role = select(vec![Role::Server, Role::Client]);
    (role, vec(frame(), number)).prop_map(|(role, frames)| {
        let encode = |(first, payload, mask, right): (u8, Vec<u8>, [u8; 4], bool)| {
            let masked = (role == Role::Server) == right;
            encode(first, masked.then_some(mask), &payload)
        };
        (role, frames.into_iter().flat_map(encode).collect())
    })
}

fn frame() -> impl Strategy<Value = (u8, Vec<u8>, [u8; 4], bool)> {
    let first = prop_oneof![
        20 => select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => ".{0,20}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..4),
        2 => vec(any::<u8>(), 120..130),
        1 => vec(any::<u8>(), LIMIT - 2..LIMIT + 2),
    ];
    (first, payload, any::<[u8; 4]>(), prop_oneof![20 => Just(true), 1 => Just(false)])
}

#[derive(Default)]
struct Outcome {
    /// The messages, formatted.
    messages: Vec<String>,
    failed: bool,
    /// A fragmented message is incomplete.
    incomplete: bool,
    /// The error is invalid UTF-8.
    broken_text: bool,
}

/// Decodes the bytes up to a close frame. Large payloads are read into their own buffer.
fn read(role: Role, bytes: &[u8], chunk: usize) -> Outcome {
    let mut decoder = match role {
        Role::Server => Decoder::of_client(LIMIT),
        Role::Client => Decoder::of_server(LIMIT),
    };
    let mut outcome = Outcome::default();
    for part in bytes.chunks(chunk.min(bytes.len().max(1))) {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        loop {
            match decoder.decode(&mut input) {
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::Fragment) => outcome.incomplete = true,
                Ok(Decoded::Incoming(Incoming::Close(code))) => {
                    if code.is_some_and(|code| !close_code::is_allowed(code)) {
                        outcome.failed = true;
                    } else {
                        outcome.messages.push(format!("close {code:?}"));
                    }
                    return outcome;
                }
                Ok(Decoded::Incoming(incoming)) => outcome.messages.push(match incoming {
                    Incoming::Message(Message::Text(text)) => format!("text {text}"),
                    Incoming::Message(Message::Binary(data)) => format!("binary {data:?}"),
                    Incoming::Ping(data) => format!("ping {data:?}"),
                    Incoming::Pong(data) => format!("pong {data:?}"),
                    other => panic!("{other:?}"),
                }),
                Err(error) => {
                    outcome.failed = true;
                    outcome.broken_text = error == WebSocketError::InvalidUtf8;
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// Decodes the bytes with tungstenite.
fn reference(role: Role, bytes: &[u8]) -> Outcome {
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut context = WebSocketContext::new(role, Some(config));
    let mut stream = Stream(Cursor::new(bytes));
    let mut outcome = Outcome::default();
    loop {
        outcome.messages.push(match context.read(&mut stream) {
            Ok(Reference::Text(text)) => format!("text {text}"),
            Ok(Reference::Binary(data)) => format!("binary {:?}", &data[..]),
            Ok(Reference::Ping(data)) => format!("ping {:?}", &data[..]),
            Ok(Reference::Pong(data)) => format!("pong {:?}", &data[..]),
            Ok(Reference::Close(frame)) => {
                // tungstenite replaces a code that is not allowed with this one.
                if frame.as_ref().is_some_and(|frame| {
                    frame.code == CloseCode::Protocol && frame.reason == "Protocol violation"
                }) {
                    outcome.failed = true;
                } else {
                    let code = frame.map(|frame| u16::from(frame.code));
                    outcome.messages.push(format!("close {code:?}"));
                }
                return outcome;
            }
            Ok(Reference::Frame(_)) => unreachable!(),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return outcome,
            Err(error) => {
                outcome.failed = true;
                outcome.broken_text = matches!(error, Error::Utf8(_));
                return outcome;
            }
        });
    }
}

/// A stream that reads from a slice and discards writes.
struct Stream<'a>(Cursor<&'a [u8]>);

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
