//! The outputs of the state machine for its shell.

use std::{any::Any, cell::Cell, collections::VecDeque};

use crate::{
    args::Args,
    nsp::Nsp,
    packet::{AckId, RawJson},
};

/// An output of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<W> {
    /// Server: the client requests a namespace. Respond with [`accept`](super::Connection::accept)
    /// and [`encode_connect`](crate::encode_connect), or with [`refuse`](super::Connection::refuse)
    /// and [`encode_connect_error`](crate::encode_connect_error). An event before the response
    /// breaks the protocol.
    ConnectRequested {
        /// The namespace.
        nsp: Nsp,
        /// The payload, if there is one, which is an object. In protocol v4, the namespace's query.
        auth: Option<RawJson>,
    },
    /// Server: the client requests more namespaces than
    /// [`max_namespaces`](crate::Limits::max_namespaces). Send CONNECT_ERROR. There is no pending
    /// request to refuse.
    TooManyNamespaces {
        /// The namespace.
        nsp: Nsp,
    },
    /// Client: the server accepts the client in a namespace. If the client has left and requested
    /// the namespace again before the first response arrived, this output is returned twice, and
    /// the second one is valid.
    Connected {
        /// The namespace.
        nsp: Nsp,
        /// An object with the `sid`. A server of protocol v4 sends none.
        payload: Option<RawJson>,
    },
    /// Client: the server refuses a namespace.
    Refused {
        /// The namespace.
        nsp: Nsp,
        /// An object with `message` and an optional `data`. In protocol v4, any string or object.
        error: RawJson,
    },
    /// An event. A client gets recovered events before [`Output::Connected`].
    Event {
        /// The namespace.
        nsp: Nsp,
        /// Set if the peer waits for an ack.
        id: Option<AckId>,
        /// The name and the arguments.
        args: Args,
    },
    /// An awaited ack.
    Acked {
        /// The namespace.
        nsp: Nsp,
        /// The id of the event that was sent.
        id: AckId,
        /// The waiter passed to [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
        /// The arguments.
        args: Args,
    },
    /// An awaited ack did not arrive in time.
    AckTimedOut {
        /// The waiter passed to [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
    },
    /// An awaited ack can no longer arrive, because its namespace or the connection has ended.
    AckFailed {
        /// The waiter passed to [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
    },
    /// The peer left a namespace, or withdrew a CONNECT without a response.
    Disconnected {
        /// The namespace.
        nsp: Nsp,
    },
}

/// The capacity, in outputs, that a thread keeps for the next message.
const RETAINED: usize = 16;

thread_local! {
    /// An empty queue that has memory: a `Queue` of the last type. A connection without outputs has
    /// no queue.
    static SPARE: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
}

/// A queue that is never empty, for a shell that drains it after every message.
#[derive(Debug)]
pub(super) struct Outputs<W>(Option<Box<Queue<W>>>);

#[derive(Debug)]
struct Queue<W>(VecDeque<Output<W>>);

impl<W> Default for Outputs<W> {
    fn default() -> Self {
        Self(None)
    }
}

impl<W: 'static> Outputs<W> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn push(&mut self, output: Output<W>) {
        self.0.get_or_insert_with(Queue::spare).0.push_back(output);
    }

    pub(super) fn pop(&mut self) -> Option<Output<W>> {
        let output = self.0.as_mut()?.0.pop_front();
        if let Some(queue) = self.0.take_if(|queue| queue.0.is_empty())
            && queue.0.capacity() <= RETAINED
        {
            let _ = SPARE.try_with(|spare| spare.set(Some(queue)));
        }
        output
    }
}

impl<W: 'static> Queue<W> {
    /// Returns the thread's spare queue, or a new one.
    fn spare() -> Box<Self> {
        // A thread that ends has no spare queue any more.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let spare = spare.and_then(|queue| queue.downcast().ok());
        spare.unwrap_or_else(|| Box::new(Self(VecDeque::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_keep_their_order_and_no_memory() {
        let mut outputs = Outputs::default();
        let push = |outputs: &mut Outputs<u32>, waiter| outputs.push(Output::AckFailed { waiter });
        let mut popped = Vec::new();
        (0..3).for_each(|waiter| push(&mut outputs, waiter));
        popped.extend(outputs.pop());
        (3..5).for_each(|waiter| push(&mut outputs, waiter));
        popped.extend(std::iter::from_fn(|| outputs.pop()));
        let waiters: Vec<_> = popped
            .into_iter()
            .map(|output| match output {
                Output::AckFailed { waiter } => waiter,
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(waiters, [0, 1, 2, 3, 4]);
        assert!(outputs.0.is_none());
        assert!(Queue::<u32>::spare().0.capacity() > 0, "the next output needs no allocation");
    }
}
