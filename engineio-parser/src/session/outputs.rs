//! The outputs of a session that its shell has not taken yet.

use std::{cell::Cell, collections::VecDeque};

use super::event::Output;
use crate::packet::PacketData;

/// The capacity, in outputs, that a thread keeps for the next burst.
const RETAINED: usize = 16;

thread_local! {
    /// An empty queue that has memory. A session without outputs has no queue.
    static SPARE: Cell<Option<Box<Queue>>> = const { Cell::new(None) };
}

/// The outputs of a session in their order. The queue is never empty.
#[derive(Debug, Default)]
pub struct Outputs(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue(VecDeque<Output>);

impl Outputs {
    /// Returns whether there is no output.
    #[inline]
    pub fn is_empty(&self) -> bool {
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

    /// Takes the first output if it is a message.
    #[inline]
    pub fn pop_message(&mut self) -> Option<PacketData> {
        let queue = &mut self.0.as_mut()?.0;
        let Some(Output::Message(_)) = queue.front() else { return None };
        let message = queue.pop_front();
        if queue.is_empty() {
            self.release();
        }
        if let Some(Output::Message(data)) = message { Some(data) } else { None }
    }

    /// Inserts outputs before all others.
    #[inline]
    pub(super) fn prepend(&mut self, mut earlier: Self) {
        if let Some(queue) = &mut earlier.0 {
            if let Some(later) = &mut self.0 {
                queue.0.append(&mut later.0);
            }
            *self = earlier;
        }
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
    use crate::packet::Transport;

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

        // Messages that were taken out return to their place.
        (0..3).for_each(|_| outputs.push(message("a")));
        let mut taken = std::mem::take(&mut outputs);
        assert_eq!(taken.pop_message(), Some(PacketData::Text("a".into())));
        outputs.push(Output::Upgraded(Transport::WebSocket));
        outputs.prepend(taken);
        assert_eq!((outputs.pop(), outputs.pop()), (Some(message("a")), Some(message("a"))));
        assert_eq!(outputs.pop_message(), None);
        outputs.prepend(Outputs::default());
        assert_eq!(outputs.pop(), Some(Output::Upgraded(Transport::WebSocket)));

        // A burst leaves no memory behind.
        (0..1000).for_each(|_| outputs.push(message("a")));
        while outputs.pop().is_some() {}
        assert!(outputs.0.is_none() && SPARE.take().is_none());
    }
}
