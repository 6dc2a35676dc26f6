//! Reads messages from the bytes of a WebSocket (RFC 6455 sections 5.2 to 5.6), with the errors of
//! tungstenite.
//!
//! The library's reader fills its buffer with zeros before each read, and shares the buffer with
//! the messages, which are then copied out of it. This reader lends a message that arrived at once
//! from the buffer, and reads a large one directly into its own allocation.

use std::{
    borrow::Cow,
    io,
    ops::Range,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
    protocol::frame::coding::{CloseCode, Control, Data, OpCode},
};

/// How many bytes are read at once. The buffer lives as long as the connection.
const BUFFER: usize = 8 * 1024;

/// How many bytes of a large message are allocated ahead.
const CHUNK: usize = 64 * 1024;

/// A message or control frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    /// A close frame, with the code to respond with.
    Close(Option<CloseCode>),
}

/// Reads the frames of a server.
#[derive(Debug)]
pub(super) struct Reader {
    max_payload: usize,
    buffer: Box<[u8]>,
    /// The part of the buffer that was read from the stream and not parsed yet.
    unread: Range<usize>,
    /// The frame whose payload is arriving.
    frame: Option<OpenFrame>,
    /// The message whose fragments are arriving, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

#[derive(Debug)]
struct OpenFrame {
    opcode: OpCode,
    last: bool,
    missing: usize,
    payload: Vec<u8>,
}

/// The place of a payload.
enum Payload {
    Buffer(Range<usize>),
    Own(Vec<u8>),
}

impl Reader {
    /// Creates a reader. `early` holds bytes that were already read.
    pub(super) fn new(max_payload: usize, early: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER.max(early.len())].into_boxed_slice();
        let unread = 0..early.len();
        buffer[unread.clone()].copy_from_slice(early);
        Self { max_payload, buffer, unread, frame: None, message: None }
    }

    /// Returns the bytes of the incomplete message, without those in the buffer.
    pub(super) fn buffered(&self) -> usize {
        let frame = self.frame.as_ref().map_or(0, |frame| frame.payload.len());
        frame + self.message.as_ref().map_or(0, |(_, payload)| payload.len())
    }

    /// Returns the next message, or `None` if [`poll_fill`](Self::poll_fill) must read more.
    pub(super) fn next(&mut self) -> Result<Option<Incoming<'_>>, Error> {
        let (opcode, payload) = loop {
            let Some((opcode, last, payload)) = self.next_frame()? else { return Ok(None) };
            let OpCode::Data(data) = opcode else { break (opcode, payload) };
            if let Some((text, payload)) = self.assemble(data, last, payload) {
                let data = if text { Data::Text } else { Data::Binary };
                break (OpCode::Data(data), payload);
            }
        };
        let payload = match payload {
            Payload::Buffer(range) => Cow::Borrowed(&self.buffer[range]),
            Payload::Own(payload) => Cow::Owned(payload),
        };
        incoming(opcode, payload).map(Some)
    }

    /// Reads once and returns the number of bytes. Call it only after [`next`](Self::next) returned
    /// `None`.
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(OpenFrame { missing, payload, .. }) = &mut self.frame
            && *missing >= self.buffer.len()
        {
            if payload.capacity() - payload.len() < self.buffer.len() {
                // The announced length is not trusted: memory grows with the data and ends at
                // exactly that length.
                payload.reserve_exact(payload.len().max(CHUNK).min(*missing));
            }
            let mut payload = payload.limit(*missing);
            let read = ready!(pin!(stream.read_buf(&mut payload)).poll(cx))?;
            *missing -= read;
            return Poll::Ready(Ok(read));
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let mut free = ReadBuf::new(&mut self.buffer[self.unread.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut free))?;
        let read = free.filled().len();
        self.unread.end += read;
        Poll::Ready(Ok(read))
    }

    fn next_frame(&mut self) -> Result<Option<(OpCode, bool, Payload)>, Error> {
        let frame = match self.frame.take() {
            Some(frame) => Some(frame),
            None => self.open_frame()?,
        };
        let Some(mut frame) = frame else { return Ok(None) };
        let here = frame.missing.min(self.unread.len());
        let range = self.unread.start..self.unread.start + here;
        self.unread.start = range.end;
        frame.missing -= here;
        if frame.missing == 0 && frame.payload.is_empty() {
            return Ok(Some((frame.opcode, frame.last, Payload::Buffer(range))));
        }
        frame.payload.extend_from_slice(&self.buffer[range]);
        if frame.missing == 0 {
            return Ok(Some((frame.opcode, frame.last, Payload::Own(frame.payload))));
        }
        self.frame = Some(frame);
        Ok(None)
    }

    /// Parses a frame header, if it is complete, and checks all limits.
    fn open_frame(&mut self) -> Result<Option<OpenFrame>, Error> {
        let Some((head, rest)) = self.buffer[self.unread.clone()].split_first_chunk() else {
            return Ok(None);
        };
        let [first, second] = *head;
        let length = match second & 0x7f {
            126 => rest.first_chunk().map(|length| (u64::from(u16::from_be_bytes(*length)), 4)),
            127 => rest.first_chunk().map(|length| (u64::from_be_bytes(*length), 10)),
            length => Some((u64::from(length), 2)),
        };
        let Some((length, header)) = length else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(ProtocolError::NonZeroReservedBits.into());
        }
        if second & 0x80 != 0 {
            return Err(ProtocolError::MaskedFrameFromServer.into());
        }
        let (opcode, last) = (OpCode::from(first & 0x0f), first & 0x80 != 0);
        self.check(opcode, last, length)?;
        self.unread.start += header;
        Ok(Some(OpenFrame { opcode, last, missing: length as usize, payload: Vec::new() }))
    }

    fn check(&self, opcode: OpCode, last: bool, length: u64) -> Result<(), Error> {
        match opcode {
            OpCode::Control(Control::Reserved(code)) | OpCode::Data(Data::Reserved(code)) => {
                return Err(ProtocolError::InvalidOpcode(code).into());
            }
            OpCode::Control(_) if !last => {
                return Err(ProtocolError::FragmentedControlFrame.into());
            }
            OpCode::Control(_) if length > 125 => {
                return Err(ProtocolError::ControlFrameTooBig.into());
            }
            OpCode::Control(_) => return Ok(()),
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(ProtocolError::UnexpectedContinueFrame.into());
            }
            OpCode::Data(data) if data != Data::Continue && self.message.is_some() => {
                return Err(ProtocolError::ExpectedFragment(data).into());
            }
            OpCode::Data(_) => {}
        }
        let before = self.message.as_ref().map_or(0, |(_, payload)| payload.len());
        let size = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(before);
        if size > self.max_payload {
            let max_size = self.max_payload;
            return Err(CapacityError::MessageTooLong { size, max_size }.into());
        }
        Ok(())
    }

    /// Adds a frame to its message. Returns a complete message, and whether it is text.
    fn assemble(&mut self, data: Data, last: bool, payload: Payload) -> Option<(bool, Payload)> {
        let text = data == Data::Text;
        let Some((_, message)) = &mut self.message else {
            if last {
                return Some((text, payload));
            }
            let first = match payload {
                Payload::Buffer(range) => self.buffer[range].to_vec(),
                Payload::Own(payload) => payload,
            };
            self.message = Some((text, first));
            return None;
        };
        match payload {
            Payload::Buffer(range) => message.extend_from_slice(&self.buffer[range]),
            Payload::Own(payload) => message.extend_from_slice(&payload),
        }
        let (text, message) = self.message.take_if(|_| last)?;
        Some((text, Payload::Own(message)))
    }
}

fn incoming(opcode: OpCode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Error> {
    Ok(match opcode {
        OpCode::Data(Data::Text) => Incoming::Text(text(payload)?),
        OpCode::Data(_) => Incoming::Binary(payload),
        OpCode::Control(Control::Ping) => Incoming::Ping(payload),
        OpCode::Control(Control::Pong) => Incoming::Pong(payload),
        OpCode::Control(_) => Incoming::Close(closing(&payload)?),
    })
}

fn text(payload: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Error> {
    let text = match payload {
        Cow::Borrowed(payload) => std::str::from_utf8(payload).map(Cow::Borrowed),
        Cow::Owned(payload) => {
            String::from_utf8(payload).map(Cow::Owned).map_err(|error| error.utf8_error())
        }
    };
    Ok(text?)
}

fn closing(payload: &[u8]) -> Result<Option<CloseCode>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let empty = payload.is_empty();
        return if empty { Ok(None) } else { Err(ProtocolError::InvalidCloseSequence.into()) };
    };
    std::str::from_utf8(reason)?;
    let code = CloseCode::from(u16::from_be_bytes(*code));
    Ok(Some(if code.is_allowed() { code } else { CloseCode::Protocol }))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn fill(reader: &mut Reader, mut bytes: &[u8]) -> usize {
        match reader.poll_fill(&mut bytes, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(read)) => read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let mut reader = Reader::new(usize::MAX, b"\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xff12345");
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(fill(&mut reader, &[0; 100]), 100);
        let payload = &reader.frame.as_ref().unwrap().payload;
        assert!(payload.len() == 105 && payload.capacity() <= 2 * CHUNK);
    }

    #[test]
    fn a_large_message_owns_its_bytes_and_no_more() {
        let mut bytes = b"\x82\x7f\x00\x00\x00\x00\x00\x03\x0d\x40".to_vec(); // 200 000
        bytes.extend(vec![7; 200_000]);
        let mut reader = Reader::new(200_000, &[]);
        let mut read = 0;
        let data = loop {
            match reader.next().unwrap() {
                Some(Incoming::Binary(Cow::Owned(data))) => break data,
                Some(other) => panic!("{other:?}"),
                None => read += fill(&mut reader, &bytes[read..]),
            }
        };
        assert_eq!((data.len(), data.capacity(), read), (200_000, 200_000, bytes.len()));
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_announced_length() {
        for header in [&b"\x81\x7e\x03\xe9"[..], b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"] {
            let error = Reader::new(1000, header).next().unwrap_err();
            assert!(matches!(error, Error::Capacity(_)), "{error}");
        }
    }
}
