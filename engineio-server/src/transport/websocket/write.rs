//! Writing of WebSocket frames. Shared buffers are gathered into as few system calls as possible.

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use engineio_parser::{
    frame::WireFrame,
    internal::PackedFrames,
    websocket::{CLOSE, PONG, encode},
};
use tokio::io::AsyncWrite;

/// Maximum number of buffers in one system call.
const BATCH: usize = 64;

/// Frames of at most this size are copied into one buffer for a system call. For the kernel, many
/// small buffers cost more than the copy.
const MAX_COPIED_FRAME: usize = 512;

thread_local! {
    /// An empty queue that has memory. An idle connection has a queue without memory.
    static SPARE: Cell<VecDeque<Part>> = const { Cell::new(VecDeque::new()) };
    /// The buffer for copied frames, which all connections of a thread share.
    static COPIED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Frames that were taken from the session but not yet accepted by the kernel.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    parts: VecDeque<Part>,
    /// How many bytes of the first part are written.
    written: usize,
    bytes: usize,
    /// The number of frames in all parts.
    frames: u32,
    /// The stream may still buffer written bytes, as TLS does.
    unflushed: bool,
    /// The close frame was pushed. No frame may follow it.
    closing: bool,
}

#[derive(Debug)]
enum Part {
    Frame(WireFrame),
    Packed(PackedFrames),
}

impl Part {
    /// Returns the bytes before the body.
    fn header(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame.header(),
            Self::Packed(_) => &[],
        }
    }

    fn body(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => &frame.body,
            Self::Packed(frames) => frames.as_bytes(),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.header().len() + self.body().len()
    }

    /// Returns the number of frames.
    fn count(&self) -> u32 {
        match self {
            Self::Frame(_) => 1,
            Self::Packed(frames) => frames.count() as u32,
        }
    }
}

impl Writer {
    /// Returns whether all frames are written and flushed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && !self.unflushed
    }

    /// Returns how many bytes are not written yet.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether there is enough for one batch. Further frames stay in the session, where
    /// they count as queued.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        Self::is_batch(self.frames as usize, self.bytes)
    }

    /// Returns whether this much makes up one batch.
    #[inline]
    pub(crate) fn is_batch(frames: usize, bytes: usize) -> bool {
        frames >= BATCH || bytes >= 256 * 1024
    }

    pub(crate) fn push(&mut self, frame: WireFrame) {
        self.push_part(Part::Frame(frame));
    }

    pub(crate) fn push_packed(&mut self, frames: PackedFrames) {
        self.push_part(Part::Packed(frames));
    }

    #[inline]
    fn push_part(&mut self, part: Part) {
        if self.closing {
            return;
        }
        if self.parts.capacity() == 0 {
            self.parts = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        self.bytes += part.len();
        self.frames += part.count();
        self.parts.push_back(part);
    }

    pub(crate) fn push_pong(&mut self, payload: &[u8]) {
        self.push(WireFrame::raw(encode(PONG, None, payload).into()));
    }

    /// Pushes a close frame. `None` omits the code, as Node does for a normal close. Frames pushed
    /// afterwards are dropped.
    pub(crate) fn push_close(&mut self, code: Option<u16>) {
        let code = code.map(u16::to_be_bytes);
        let payload = code.as_ref().map_or(&[][..], |code| code);
        self.push(WireFrame::raw(encode(CLOSE, None, payload).into()));
        self.closing = true;
    }

    /// Writes everything.
    pub(crate) fn poll_flush(
        &mut self,
        mut io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.parts.is_empty() {
            let written = if self.is_copied() {
                ready!(self.poll_write_copied(io.as_mut(), cx))?
            } else {
                ready!(self.poll_write_shared(io.as_mut(), cx))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        let parts = mem::take(&mut self.parts);
        if (1..=2 * BATCH).contains(&parts.capacity()) {
            let _ = SPARE.try_with(|spare| spare.set(parts));
        }
        ready!(io.poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Returns whether there are several parts, and all frames are small.
    fn is_copied(&self) -> bool {
        let is_small = |part: &Part| match part {
            Part::Frame(frame) => frame.body.len() <= MAX_COPIED_FRAME,
            Part::Packed(_) => true,
        };
        self.parts.len() > 1 && self.parts.iter().all(is_small)
    }

    /// Writes all frames once, as one buffer.
    fn poll_write_copied(
        &self,
        io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut copied = COPIED.take();
        copied.clear();
        for part in &self.parts {
            copied.extend_from_slice(part.header());
            copied.extend_from_slice(part.body());
        }
        let written = io.poll_write(cx, copied.get(self.written..).unwrap_or_default());
        COPIED.set(copied);
        written
    }

    /// Writes frames once, without copying them.
    fn poll_write_shared(
        &self,
        io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let (1, Some(part)) = (self.parts.len(), self.parts.front())
            && part.header().is_empty()
        {
            return io.poll_write(cx, part.body().get(self.written..).unwrap_or_default());
        }
        let mut slices = [IoSlice::new(&[]); BATCH];
        let mut count = 0;
        for part in &self.parts {
            let skip = if count == 0 { self.written } else { 0 };
            let (header, body) = (part.header(), part.body());
            let (header, body) = match header.get(skip..) {
                Some(header) => (header, body),
                None => (&[][..], body.get(skip - header.len()..).unwrap_or_default()),
            };
            if count + 2 > BATCH {
                break;
            }
            for bytes in [header, body] {
                if !bytes.is_empty()
                    && let Some(slice) = slices.get_mut(count)
                {
                    *slice = IoSlice::new(bytes);
                    count += 1;
                }
            }
        }
        io.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        if self.bytes == 0 {
            self.parts.clear();
            (self.written, self.frames) = (0, 0);
            return;
        }
        while let Some(part) = self.parts.front() {
            let (left, frames) = (part.len() - self.written, part.count());
            if written < left {
                self.written += written;
                return;
            }
            written -= left;
            self.written = 0;
            self.frames -= frames;
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use engineio_parser::{Frame, PacketType};

    use super::*;

    /// A stream that accepts a few bytes at a time.
    struct Slow(Vec<u8>, usize);

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..len]);
            Poll::Ready(Ok(len))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A stream that accepts everything, but whose first flush is pending.
    struct PendingFlush(usize);

    impl AsyncWrite for PendingFlush {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0 += 1;
            if self.0 == 1 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_writer_is_not_empty_before_the_stream_is_flushed() {
        let mut writer = Writer::default();
        writer.push(Frame::text(PacketType::Message, "hi").websocket(Default::default()));
        let mut io = PendingFlush(0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(writer.poll_flush(Pin::new(&mut io), &mut cx).is_pending());
        assert!(!writer.is_empty());
        assert!(writer.poll_flush(Pin::new(&mut io), &mut cx).is_ready());
        assert!(writer.is_empty());
        assert!(SPARE.take().capacity() > 0, "the second flush dropped the spare queue");
    }

    #[test]
    fn partial_writes_keep_every_byte_in_order() {
        for step in [1, 2, 3, 5, 1000] {
            let mut writer = Writer::default();
            writer.push(Frame::text(PacketType::Message, "hi").websocket(Default::default()));
            let binary = Frame::binary(Bytes::from_static(&[1, 2]));
            writer.push(binary.websocket(Default::default()));
            writer.push(Frame::binary(Bytes::new()).websocket(Default::default()));
            writer.push_close(Some(1009));
            writer.push_close(None);
            writer.push_pong(b"late");
            let mut io = Slow(Vec::new(), step);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(writer.poll_flush(Pin::new(&mut io), &mut cx).is_ready());
            let expected = [0x81, 3, b'4', b'h', b'i', 0x82, 2, 1, 2, 0x82, 0, 0x88, 2, 0x03, 0xf1];
            assert_eq!(io.0, expected, "{step} bytes at a time");
            assert!(writer.is_empty() && (writer.bytes, writer.frames) == (0, 0));
            assert_eq!(writer.parts.capacity(), 0, "an idle writer holds memory");
        }
    }
}
