//! Compares this reader with tungstenite's on the same bytes.

use std::{
    io::{self, Cursor, Read, Write},
    task::{Context, Poll, Waker},
};

use proptest::{collection::vec, prelude::*, sample::select};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::{
    Closing, Pong, Revision, WebSocket, Writer,
    read::{Incoming, Reader},
};

const LIMIT: usize = 20_000;

proptest! {
    /// Complete and mostly valid frames: both readers give the same messages, and an error at the
    /// same place or none.
    #[test]
    fn frames_are_read_as_by_tungstenite(frames in vec(frame(), 0..12), early in 0..300_usize, chunk in 1..20_000_usize) {
        let bytes = frames.concat();
        let (ours, theirs) = (read(&bytes, early, chunk), reference(&bytes));
        if theirs.broken_text {
            // tungstenite checks text fragment by fragment, this reader checks the complete text.
            prop_assert!(ours.messages.starts_with(&theirs.messages));
            return Ok(());
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert_eq!(ours.failed, theirs.failed, "{:02x?}", bytes);
    }

    /// Arbitrary bytes: both readers give the same messages, and an error of tungstenite is an
    /// error here. This reader may report it earlier, from the header.
    #[test]
    fn bytes_are_read_as_by_tungstenite(frames in vec(frame(), 0..3), noise in vec(any::<u8>(), 0..200), early in 0..20_usize, chunk in 1..20_usize) {
        let bytes = [frames.concat(), noise].concat();
        let (ours, theirs) = (read(&bytes, early, chunk), reference(&bytes));
        if theirs.broken_text {
            prop_assert!(ours.messages.starts_with(&theirs.messages));
            return Ok(());
        }
        prop_assert_eq!(&ours.messages, &theirs.messages);
        prop_assert!(ours.failed || !theirs.failed, "{:02x?}", bytes);
    }
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
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
    let mask = prop_oneof![50 => Just(None), 1 => any::<[u8; 4]>().prop_map(Some)];
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
        frame.extend(payload);
        frame
    })
}

#[tokio::test]
async fn a_pong_to_a_forgotten_ping_confirms_nothing() {
    use tokio::io::AsyncWriteExt;

    let (stream, mut server) = tokio::io::duplex(1024);
    let mut socket = WebSocket {
        stream: Box::new(stream),
        reader: Reader::new(LIMIT, &[]),
        writer: Writer::default(),
        revision: Revision::V4,
        base64: false,
        limit: LIMIT,
        filled: false,
        pong: Pong::Idle,
        pings: 0,
        closing: Closing::NotStarted,
    };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(socket.poll_pong(&mut cx).is_pending());
    let first = pong(&mut server).await;
    socket.forget_pong();
    assert!(socket.poll_pong(&mut cx).is_pending());
    let second = pong(&mut server).await;
    for (answer, confirmed) in [(first, false), (second, true)] {
        server.write_all(&answer).await.unwrap();
        assert!(socket.poll_read(&mut cx).is_pending());
        assert_eq!(socket.poll_pong(&mut cx).is_ready(), confirmed);
    }
}

/// Reads a ping of the client, and returns the pong to it.
async fn pong(server: &mut tokio::io::DuplexStream) -> Vec<u8> {
    use tokio::io::AsyncReadExt;

    let mut head = [0; 2];
    server.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 0x89);
    let len = usize::from(head[1] & 0x7f);
    let mut rest = vec![0; 4 + len];
    server.read_exact(&mut rest).await.unwrap();
    let (mask, payload) = rest.split_at(4);
    let mut pong = vec![0x8a, len as u8];
    pong.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    pong
}

#[derive(Default)]
struct Outcome {
    /// The messages, formatted.
    messages: Vec<String>,
    failed: bool,
    /// Whether the error is text that is not UTF-8.
    broken_text: bool,
}

/// A stream that yields at most this number of bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl tokio::io::AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (piece, rest) = self.0.split_at(self.0.len().min(self.1).min(out.remaining()));
        out.put_slice(piece);
        self.0 = rest;
        Poll::Ready(Ok(()))
    }
}

/// Reads the bytes with this reader, up to a close frame.
fn read(bytes: &[u8], early: usize, chunk: usize) -> Outcome {
    let (early, late) = bytes.split_at(early.min(bytes.len()));
    let mut reader = Reader::new(LIMIT, early);
    let mut stream = Pieces(late, chunk);
    let mut outcome = Outcome::default();
    loop {
        match reader.next() {
            Ok(Some(incoming)) => outcome.messages.push(match incoming {
                Incoming::Text(text) => format!("text {text}"),
                Incoming::Binary(data) => format!("binary {data:?}"),
                Incoming::Ping(data) => format!("ping {data:?}"),
                Incoming::Pong(_) => "pong".to_owned(),
                Incoming::Close(code) => {
                    outcome.messages.push(format!("close {code:?}"));
                    return outcome;
                }
            }),
            Ok(None) => {
                let mut cx = Context::from_waker(Waker::noop());
                match reader.poll_fill(&mut stream, &mut cx) {
                    Poll::Ready(Ok(0)) => return outcome,
                    Poll::Ready(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
            Err(_) => {
                outcome.failed = true;
                return outcome;
            }
        }
    }
}

/// Reads the bytes with tungstenite.
fn reference(bytes: &[u8]) -> Outcome {
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut context = WebSocketContext::new(Role::Client, Some(config));
    let mut stream = Stream(Cursor::new(bytes));
    let mut outcome = Outcome::default();
    loop {
        outcome.messages.push(match context.read(&mut stream) {
            Ok(Message::Text(text)) => format!("text {text}"),
            Ok(Message::Binary(data)) => format!("binary {:?}", &data[..]),
            Ok(Message::Ping(data)) => format!("ping {:?}", &data[..]),
            Ok(Message::Pong(_)) => "pong".to_owned(),
            Ok(Message::Close(frame)) => {
                outcome.messages.push(format!("close {:?}", frame.map(|frame| frame.code)));
                return outcome;
            }
            Ok(Message::Frame(_)) => unreachable!(),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return outcome,
            Err(error) => {
                outcome.failed = true;
                outcome.broken_text = matches!(error, Error::Utf8(_));
                return outcome;
            }
        });
    }
}

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
