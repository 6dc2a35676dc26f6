//! What the machine tells its shell.

use std::collections::VecDeque;

use crate::{
    args::Args,
    nsp::Nsp,
    packet::{AckId, RawJson},
};

/// What happened on a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<W> {
    /// Server: the client asks for a namespace. Answer with [`accept`](super::Connection::accept) and
    /// [`encode_connect`](crate::encode_connect), or [`refuse`](super::Connection::refuse) and
    /// [`encode_connect_error`](crate::encode_connect_error). Events before the answer break the protocol.
    ConnectRequested {
        /// The namespace.
        nsp: Nsp,
        /// An object, if there is one: the payload, or in protocol v4 the namespace's query.
        auth: Option<RawJson>,
    },
    /// Server: the client asks for more namespaces than [`max_namespaces`](crate::Limits::max_namespaces). Send
    /// CONNECT_ERROR; there is nothing to refuse.
    TooManyNamespaces {
        /// The namespace.
        nsp: Nsp,
    },
    /// Client: the server grants a namespace. Where a disconnect and a new request overtook the answer to an older one, this
    /// comes twice; the later one holds.
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
        /// An object with `message` and perhaps `data`; any string or object in protocol v4.
        error: RawJson,
    },
    /// An event. A client gets those the server recovered before [`Output::Connected`].
    Event {
        /// The namespace.
        nsp: Nsp,
        /// Present where the peer waits for an acknowledgement.
        id: Option<AckId>,
        /// The name and the arguments.
        args: Args,
    },
    /// An awaited acknowledgement.
    Acked {
        /// The namespace.
        nsp: Nsp,
        /// Of the event that was sent.
        id: AckId,
        /// From [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
        /// The arguments.
        args: Args,
    },
    /// An awaited acknowledgement did not arrive in time.
    AckTimedOut {
        /// From [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
    },
    /// An awaited acknowledgement can no longer arrive: its namespace or the connection is gone.
    AckFailed {
        /// From [`expect_ack`](super::Connection::expect_ack).
        waiter: W,
    },
    /// The peer left a namespace, or withdrew a CONNECT that was not answered yet.
    Disconnected {
        /// The namespace.
        nsp: Nsp,
    },
}

/// A queue for a shell that drains it after every message: its first place needs no memory of its own, and the others
/// are given back once empty.
#[derive(Debug)]
pub(super) struct Outputs<W> {
    first: Option<Output<W>>,
    rest: VecDeque<Output<W>>,
}

impl<W> Default for Outputs<W> {
    fn default() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }
}

impl<W> Outputs<W> {
    pub(super) fn push(&mut self, output: Output<W>) {
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(output);
        } else {
            self.rest.push_back(output);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Output<W>> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.rest.capacity() == 0 {
            return None;
        }
        let output = self.rest.pop_front();
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        output
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
        assert_eq!(outputs.rest.capacity(), 0);
    }
}
