//! Small text messages in one buffer.

use std::{cell::RefCell, mem};

use crate::{
    frame::{Frame, FrameWriter, HEADROOM},
    frames::Frames,
    websocket::{Header, TEXT, header_len, write_header},
};

/// A message with a longer payload, in bytes, gets a buffer of its own.
const MAX_PAYLOAD: usize = 512;

/// A message for several recipients with a longer payload, in bytes, is shared. A copy of a shorter
/// one takes about as much memory as a reference to it, and less time.
const MAX_COPIED: usize = 128;

/// The size of a new buffer in bytes.
const INITIAL: usize = 1024;

/// The number of messages in one buffer. As many frames as servers pass to the kernel at a time.
const MAX_COUNT: usize = 64;

/// A larger buffer is not kept for the next messages. A client that does not read may hold several
/// buffers for one small message each, and the limits of its queue count only the payload.
const RETAINED: usize = 4 * 1024;

/// The memory in bytes that a thread keeps for the next messages. Enough for a thousand clients that
/// get several broadcasts at a time.
const MAX_SPARE: usize = 1024 * INITIAL;

thread_local! {
    static SPARE: RefCell<SpareBuffers> = const { RefCell::new(SpareBuffers::new()) };
}

/// Empty buffers that have memory. The allocator takes longer for as many buffers of this size,
/// because they exceed the lists that it keeps for each thread.
struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl SpareBuffers {
    const fn new() -> Self {
        Self { buffers: Vec::new(), bytes: 0 }
    }

    #[inline]
    fn pop(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer, unless it is too large or there are enough.
    #[inline]
    fn push(&mut self, mut buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if (INITIAL..=RETAINED).contains(&buffer.capacity()) && bytes <= MAX_SPARE {
            buffer.clear();
            self.buffers.push(buffer);
            self.bytes = bytes;
        }
    }
}

/// A message that is to be sent, as its encoder returns it.
#[derive(Debug)]
pub enum OutgoingMessage<'a> {
    /// A small text message in the buffer in which it was written.
    Written(&'a FrameWriter),
    /// A run of frames.
    Frames(Frames),
    /// A run of frames for several recipients.
    Shared(&'a Frames),
}

impl OutgoingMessage<'_> {
    /// The number of frames.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Written(_) => 1,
            Self::Frames(frames) => frames.count(),
            Self::Shared(frames) => frames.count(),
        }
    }

    /// The total payload length of all frames in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Written(writer) => writer.payload().len(),
            Self::Frames(frames) => frames.bytes(),
            Self::Shared(frames) => frames.bytes(),
        }
    }

    /// Returns the payload if [`PackedFrames`] take the message. They take a shared message only
    /// with others: alone, it needs no copy.
    #[inline]
    pub(crate) fn packed_payload(&self, alone: bool) -> Option<&[u8]> {
        match self {
            Self::Written(writer) => Some(writer.payload()),
            Self::Shared(frames) if !alone => frames.short_text(MAX_COPIED),
            Self::Shared(_) | Self::Frames(_) => None,
        }
    }

    /// Returns the message as frames. Copies a written message into memory of exactly its size.
    #[inline]
    pub fn into_frames(self) -> Frames {
        match self {
            Self::Written(writer) => writer.copy().into(),
            Self::Frames(frames) => frames,
            Self::Shared(frames) => frames.clone(),
        }
    }
}

impl<'a> From<&'a FrameWriter> for OutgoingMessage<'a> {
    /// Copies a large message into memory of exactly its size, so that it is not copied under the
    /// lock of a session.
    #[inline]
    fn from(writer: &'a FrameWriter) -> Self {
        match writer.payload().len() {
            ..=MAX_PAYLOAD => Self::Written(writer),
            _ => Self::Frames(writer.copy().into()),
        }
    }
}

impl From<Frames> for OutgoingMessage<'_> {
    fn from(frames: Frames) -> Self {
        Self::Frames(frames)
    }
}

/// The reason why a message was refused. In contrast to
/// [`SendError`](crate::session::SendError) it is small, because it contains no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More than half of the queue is full, and the message would exceed a limit.
    Full,
    /// The session is closing or closed.
    Closed,
}

/// Small text messages, one after another as the complete WebSocket frames that a server sends.
/// They take one buffer instead of one for each, and are written without another copy.
#[derive(Debug, Default)]
pub struct PackedFrames {
    bytes: Vec<u8>,
    /// The position of the first frame that was not taken out.
    start: usize,
    count: usize,
    /// The payload length of all frames in bytes.
    payload: usize,
}

impl PackedFrames {
    /// Returns the frames in order.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Returns the number of frames.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The total payload length of all frames in bytes.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload
    }

    /// Releases memory that the frames do not need.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is room for another message.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.count < MAX_COUNT
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        if self.bytes.capacity() == 0 {
            // A thread that ends has no spare memory any more.
            let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
            self.bytes = spare.unwrap_or_default();
            self.bytes.reserve(INITIAL);
        }
        let mut header = [0; HEADROOM];
        let len = write_header(&mut header, TEXT, payload.len());
        self.bytes.extend_from_slice(header.get(..len).unwrap_or_default());
        self.bytes.extend_from_slice(payload);
        self.count += 1;
        self.payload += payload.len();
    }

    /// The payload length of the first frame in bytes.
    pub(crate) fn first_len(&self) -> usize {
        let header = Header::parse(self.as_bytes()).ok().flatten();
        header.map_or(0, |(header, _)| header.payload_len as usize)
    }

    /// Takes the first frame.
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        self.count = self.count.checked_sub(1)?;
        let len = self.first_len();
        self.payload -= len;
        let start = self.start + header_len(len);
        self.start = start + len;
        let payload = self.bytes.get(start..self.start)?;
        Some(Frame::from_text([&[0; HEADROOM], payload].concat()))
    }
}

impl Drop for PackedFrames {
    /// Gives the memory to the thread.
    fn drop(&mut self) {
        if self.bytes.capacity() > 0 {
            let bytes = mem::take(&mut self.bytes);
            let _ = SPARE.try_with(|spare| spare.borrow_mut().push(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Revision;

    fn written(text: &str) -> FrameWriter {
        let mut writer = FrameWriter::message(Vec::new());
        writer.buffer().extend_from_slice(text.as_bytes());
        writer
    }

    #[test]
    fn packed_messages_are_the_same_frames_as_single_ones() {
        let texts = ["", "2[\"a\"]", &"x".repeat(124), &"x".repeat(125), &"x".repeat(511)];
        let (mut packed, mut wire) = (PackedFrames::default(), Vec::new());
        for text in texts {
            let message = written(text);
            assert!(matches!((&message).into(), OutgoingMessage::Written(_)));
            packed.push(message.payload());
            wire.extend_from_slice(&message.copy().websocket(Revision::V4).body);
        }
        assert_eq!((packed.as_bytes(), packed.count()), (&wire[..], 5));
        for text in texts {
            assert_eq!(packed.first_len(), 1 + text.len());
            assert_eq!(packed.pop().unwrap().payload(), format!("4{text}"));
        }
        assert!(packed.pop().is_none() && packed.as_bytes().is_empty());
        assert!(matches!((&written(&"x".repeat(512))).into(), OutgoingMessage::Frames(_)));
    }

    #[test]
    fn the_memory_of_a_buffer_is_used_again() {
        let mut packed = PackedFrames::default();
        packed.push(written("a").payload());
        let memory = packed.as_bytes().as_ptr();
        drop(packed);
        let mut packed = PackedFrames::default();
        packed.push(written("b").payload());
        assert_eq!(packed.as_bytes().as_ptr(), memory);
        while packed.has_room() {
            packed.push(written(&"x".repeat(500)).payload());
        }
        assert_eq!(packed.count(), MAX_COUNT);
        drop(packed);
        assert_eq!(SPARE.replace(SpareBuffers::new()).bytes, 0, "a large buffer is not kept");
    }

    #[test]
    fn a_thread_keeps_the_memory_of_many_buffers_up_to_a_limit() {
        let many = 2 * MAX_SPARE / INITIAL;
        let mut packed: Vec<_> = (0..many).map(|_| PackedFrames::default()).collect();
        packed.iter_mut().for_each(|it| it.push(written("a").payload()));
        drop(packed);
        let spare = SPARE.replace(SpareBuffers::new());
        assert_eq!((spare.buffers.len(), spare.bytes), (many / 2, MAX_SPARE));
    }
}
