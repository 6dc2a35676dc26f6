//! Runs of frames that are sent without interruption.

use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;

/// An indivisible run of frames: a text frame and its attachments. No other frame is sent in
/// between.
#[derive(Clone, Debug)]
pub struct Frames {
    first: Frame,
    rest: Option<Arc<[Frame]>>,
}

impl Frames {
    /// Creates a run of `first`, followed by `attachments` in order.
    pub fn new(first: Frame, attachments: impl IntoIterator<Item = Bytes>) -> Self {
        let rest: Arc<[Frame]> = attachments.into_iter().map(Frame::binary).collect();
        Self { first, rest: (!rest.is_empty()).then_some(rest) }
    }

    /// Sets whether transports may compress these frames (default: yes).
    ///
    /// Disable compression for data that is already compressed, and for secrets that share a
    /// message with text chosen by another party (the CRIME and BREACH attacks).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.first.set_compress(compress);
        // Clones share `rest` and must not see it change.
        self.rest = self.rest.map(|rest| {
            let mut rest = rest.to_vec();
            rest.iter_mut().for_each(|frame| frame.set_compress(compress));
            rest.into()
        });
        self
    }

    /// See [`internal::share`](crate::internal::share).
    pub(crate) fn share(&mut self) {
        self.first.share();
    }

    /// Returns the frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.first).chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// The frame at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&Frame> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.rest.as_ref()?.get(index),
        }
    }

    /// The frame at `index`. Moves the first frame out instead of cloning it.
    #[inline]
    pub(crate) fn into_nth(self, index: usize) -> Option<Frame> {
        match index.checked_sub(1) {
            None => Some(self.first),
            Some(index) => self.rest?.get(index).cloned(),
        }
    }

    /// The payload, if this is one text frame with a payload of at most `max` bytes.
    #[inline]
    pub(crate) fn short_text(&self, max: usize) -> Option<&[u8]> {
        let is_short = self.rest.is_none() && !self.first.is_binary() && self.first.len() <= max;
        is_short.then(|| self.first.as_bytes())
    }

    /// Returns the number of frames.
    #[inline]
    pub fn count(&self) -> usize {
        1 + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Returns the total payload length of all frames in bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.iter().map(Frame::len).sum());
        self.first.len() + rest
    }
}

impl From<Frame> for Frames {
    fn from(first: Frame) -> Self {
        Self { first, rest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketType;

    #[test]
    fn compression_is_set_for_all_frames_of_a_run() {
        let run = Frames::new(Frame::text(PacketType::Message, "x"), [Bytes::from_static(b"1")]);
        let plain = run.clone().compress(false);
        assert!(run.iter().all(Frame::may_compress));
        assert!(!plain.iter().any(Frame::may_compress));
        assert!(plain.compress(true).iter().all(Frame::may_compress));
    }

    #[test]
    fn a_shared_run_is_compressed_once() {
        let text = Frames::from(Frame::text(PacketType::Message, "x"));
        let compress = |run: &Frames, form: &'static [u8]| {
            run.iter().next().and_then(|frame| frame.compressed(15, || Some(form.into())))
        };
        assert_eq!(compress(&text.clone(), b"one").unwrap(), "one");
        assert_eq!(compress(&text.clone(), b"two").unwrap(), "two");
        let text = crate::internal::share(text);
        assert_eq!(compress(&text.clone(), b"one").unwrap(), "one");
        assert_eq!(compress(&text.clone(), b"two").unwrap(), "one");
    }

    #[test]
    fn a_run_yields_its_frames_in_order() {
        let text = Frame::text(PacketType::Message, "x");
        let run = Frames::new(text.clone(), [Bytes::from_static(b"1"), Bytes::from_static(b"23")]);
        let payloads: Vec<_> = run.iter().map(Frame::payload).collect();
        assert_eq!(payloads, ["4x", "1", "23"]);
        assert_eq!((run.count(), run.bytes()), (3, 5));
        assert_eq!(Frames::from(text).count(), 1);
    }
}
