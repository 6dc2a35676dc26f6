//! Compares our reader with tungstenite's on the same bytes.

use std::io::{self, Cursor, Read, Write};

use proptest::{collection::vec, prelude::*};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use super::read::{Incoming, Reader};
use crate::turn::Turn;

const LIMIT: usize = 1000;

proptest! {
    /// Complete and mostly valid frames: both readers return the same messages, and both or neither
    /// fail.
    #[test]
    fn both_readers_agree_on_frames(frames in vec(frame(), 0..12), chunk in 1..200_usize) {
        let bytes = frames.concat();
        let (ours, theirs) = (read(&bytes, chunk), reference(&bytes));
        if theirs.broken_text {
            return failed_later(&ours, &theirs);
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert_eq!(ours.failed, theirs.failed, "{:02x?}", bytes);
    }

    /// Arbitrary bytes: both readers return the same messages, and ours fails if tungstenite's
    /// does. Ours fails earlier, when it sees the header.
    #[test]
    fn both_readers_agree_on_arbitrary_bytes(frames in vec(frame(), 0..3), noise in vec(any::<u8>(), 0..200), chunk in 1..20_usize) {
        let bytes = [frames.concat(), noise].concat();
        let (ours, theirs) = (read(&bytes, chunk), reference(&bytes));
        if theirs.broken_text {
            return failed_later(&ours, &theirs);
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert!(ours.failed || !theirs.failed, "{:02x?}", bytes);
    }

    #[test]
    fn messages_do_not_depend_on_the_size_of_reads(frames in vec(frame(), 0..12), chunk in 1..300_usize) {
        let bytes = frames.concat();
        let (pieces, whole) = (read(&bytes, chunk), read(&bytes, bytes.len().max(1)));
        prop_assert_eq!(pieces.messages, whole.messages);
        prop_assert_eq!(pieces.failed, whole.failed);
    }
}

/// tungstenite checks the UTF-8 of each fragment. Our reader checks that of the complete message.
fn failed_later(ours: &Outcome, theirs: &Outcome) -> Result<(), TestCaseError> {
    prop_assert!(ours.messages.starts_with(&theirs.messages));
    prop_assert!(ours.failed || ours.in_text);
    Ok(())
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => proptest::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => ".{0,20}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..4),
        2 => vec(any::<u8>(), 120..130),
        1 => vec(any::<u8>(), LIMIT - 2..LIMIT + 2),
    ];
    let mask = prop_oneof![20 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)];
    (first, payload, mask).prop_map(|(first, payload, mask)| {
        let mut frame = vec![first];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            len @ ..126 => frame.push(masked | len as u8),
            len => {
                frame.push(masked | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend(mask.iter().flatten());
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    })
}

struct Outcome {
    messages: Vec<Incoming>,
    failed: bool,
    /// A fragmented text message is incomplete.
    in_text: bool,
    /// The error is invalid UTF-8.
    broken_text: bool,
}

/// Decodes the bytes with our reader, up to a close frame.
fn read(bytes: &[u8], chunk: usize) -> Outcome {
    let mut reader = Reader::new(LIMIT, u32::MAX);
    let mut messages = Vec::new();
    let mut failed = false;
    for part in bytes.chunks(chunk) {
        let closed = |messages: &[Incoming]| matches!(messages.last(), Some(Incoming::Close(_)));
        let result = reader.feed(&mut part.to_vec(), &mut Turn::endless(), |incoming| {
            if !closed(&messages) {
                messages.push(incoming);
            }
        });
        if closed(&messages) {
            break;
        }
        if result.is_err() {
            failed = true;
            break;
        }
    }
    Outcome { messages, failed, in_text: reader.in_text(), broken_text: false }
}

/// Decodes the bytes with tungstenite.
fn reference(bytes: &[u8]) -> Outcome {
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut stream = Stream(Cursor::new(bytes));
    let mut messages = Vec::new();
    let mut broken_text = false;
    let failed = loop {
        messages.push(match context.read(&mut stream) {
            Ok(Message::Text(text)) => Incoming::Text(text.as_str().into()),
            Ok(Message::Binary(data)) => Incoming::Binary(data),
            Ok(Message::Ping(data)) => Incoming::Ping(data),
            Ok(Message::Pong(_)) => Incoming::Pong,
            Ok(Message::Close(frame)) => {
                // tungstenite replaces a code that is not allowed with this one.
                if frame.as_ref().is_some_and(|frame| {
                    frame.code == CloseCode::Protocol && frame.reason == "Protocol violation"
                }) {
                    break true;
                }
                messages.push(Incoming::Close(frame.map(|frame| frame.code.into())));
                break false;
            }
            Ok(Message::Frame(_)) => continue,
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break false,
            Err(error) => {
                broken_text = matches!(error, Error::Utf8(_));
                break true;
            }
        });
    };
    Outcome { messages, failed, in_text: false, broken_text }
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
