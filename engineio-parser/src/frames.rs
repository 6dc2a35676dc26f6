//! Frames that belong together.

use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;

/// An indivisible run of frames: a text and its attachments. Nothing is ever sent in between.
#[derive(Clone, Debug)]
pub struct Frames {
    first: Frame,
    rest: Option<Arc<[Frame]>>,
}

impl Frames {
    /// A run that begins with `first`; `attachments` follow it in order.
    pub fn new(first: Frame, attachments: impl IntoIterator<Item = Bytes>) -> Self {
        let rest: Arc<[Frame]> = attachments.into_iter().map(Frame::binary).collect();
        Self { first, rest: (!rest.is_empty()).then_some(rest) }
    }

    /// Whether transports that compress may compress these frames (default yes). No is for what was compressed before,
    /// and for secrets beside text that others choose (see the attacks named CRIME and BREACH).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.first.set_compress(compress);
        // Those who share the rest do not see it change.
        self.rest = self.rest.map(|rest| {
            let mut rest = rest.to_vec();
            rest.iter_mut().for_each(|frame| frame.set_compress(compress));
            rest.into()
        });
        self
    }

    /// Lets all clones made from now on share what only some recipients need, such as a compressed form. For broadcasts;
    /// costs one allocation.
    #[must_use]
    pub fn share(mut self) -> Self {
        self.first.share();
        self
    }

    /// The frames in order.
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

    /// The frame at `index`, without another reference where it is the first.
    pub(crate) fn into_nth(self, index: usize) -> Option<Frame> {
        match index.checked_sub(1) {
            None => Some(self.first),
            Some(index) => self.rest?.get(index).cloned(),
        }
    }

    /// How many frames there are.
    pub fn count(&self) -> usize {
        1 + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Bytes of all frames' payloads.
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
    fn a_run_is_compressed_whole_or_not_at_all() {
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
        let text = text.share();
        assert_eq!(compress(&text.clone(), b"one").unwrap(), "one");
        assert_eq!(compress(&text.clone(), b"two").unwrap(), "one");
    }

    #[test]
    fn a_run_keeps_its_order() {
        let text = Frame::text(PacketType::Message, "x");
        let run = Frames::new(text.clone(), [Bytes::from_static(b"1"), Bytes::from_static(b"23")]);
        let payloads: Vec<_> = run.iter().map(Frame::payload).collect();
        assert_eq!(payloads, ["4x", "1", "23"]);
        assert_eq!((run.count(), run.bytes()), (3, 5));
        assert_eq!(Frames::from(text).count(), 1);
    }
}
