//! The outputs of a session that its shell has not taken yet.

use std::{cell::Cell, collections::VecDeque};

use super::event::Output;

/// The capacity, in outputs, that a thread keeps for the next burst.
const RETAINED: usize = 16;

thread_local! {
    /// An empty queue that has memory. A session without outputs has no queue.
    static SPARE: Cell<Option<Box<Queue>>> = const { Cell::new(None) };
}

/// A queue that is never empty.
#[derive(Debug, Default)]
pub(super) struct Outputs(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue(VecDeque<Output>);

impl Outputs {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(super) fn push(&mut self, output: Output) {
        // A thread that ends has no spare memory any more.
        let spare = || SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        self.0.get_or_insert_with(spare).0.push_back(output);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Output> {
        let queue = &mut self.0.as_mut()?.0;
        let output = queue.pop_front();
        if queue.is_empty() {
            self.release();
        }
        output
    }

    /// Takes the first output that is not a message.
    pub(super) fn pop_event(&mut self) -> Option<Output> {
        let queue = &mut self.0.as_mut()?.0;
        let at = queue.iter().position(|output| !matches!(output, Output::Message(_)))?;
        let output = queue.remove(at);
        if queue.is_empty() {
            self.release();
        }
        output
    }

    /// Gives the memory of an empty queue to the thread.
    fn release(&mut self) {
        if let Some(queue) = self.0.take()
            && queue.0.capacity() <= RETAINED
        {
            let _ = SPARE.try_with(|spare| spare.set(Some(queue)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{PacketData, Transport};

    #[test]
    fn outputs_keep_their_order_and_no_memory() {
        let mut outputs = Outputs::default();
        let message = |text: &'static str| Output::Message(PacketData::Text(text.into()));
        outputs.push(message("a"));
        outputs.push(Output::Upgraded(Transport::WebSocket));
        outputs.push(message("b"));
        assert_eq!(outputs.pop_event(), Some(Output::Upgraded(Transport::WebSocket)));
        assert_eq!(outputs.pop(), Some(message("a")));
        assert_eq!(outputs.pop(), Some(message("b")));
        assert_eq!(outputs.pop(), None);
        assert!(outputs.0.is_none());
        let spare = SPARE.take().unwrap();
        assert!(spare.0.capacity() > 0, "the next output of the thread needs no allocation");
        SPARE.set(Some(spare));

        // A burst leaves no memory behind.
        (0..1000).for_each(|_| outputs.push(message("a")));
        while outputs.pop().is_some() {}
        assert!(outputs.0.is_none() && SPARE.take().is_none());
    }
}
