//! The recipients of acks inside the server.

use std::sync::Arc;

use socketio_parser::Args;
use tokio::sync::oneshot;

use crate::{
    error::AckError,
    namespace::cluster::Relay,
    sync::{Mutex, lock},
};

/// The recipient of an ack. Dropping it reports that no ack will arrive.
pub(crate) enum Waiter {
    One(oneshot::Sender<Result<Args, AckError>>),
    Many(Share),
    /// Another node. Boxed, because every client has room for a waiter.
    Relay(Box<Relay>),
}

impl Waiter {
    pub(crate) fn resolve(self, ack: Result<Args, AckError>) {
        match self {
            // The receiver may have been dropped.
            Self::One(sender) => drop(sender.send(ack)),
            Self::Many(share) => share.add(ack.ok()),
            // Other nodes get no message about a missing ack.
            Self::Relay(relay) => drop(ack.map(|args| relay.send(&args))),
        }
    }
}

/// The share of one recipient in the acks of a broadcast.
pub(crate) struct Share(Option<Arc<Collector>>);

impl Share {
    fn add(mut self, ack: Option<Args>) {
        if let Some(collector) = self.0.take() {
            collector.add(ack);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(collector) = self.0.take() {
            collector.add(None);
        }
    }
}

/// Collects the acks of a broadcast.
pub(crate) struct Collector(Mutex<Collected>);

struct Collected {
    missing: usize,
    responses: Vec<Args>,
    done: Option<oneshot::Sender<()>>,
}

impl Collector {
    /// Creates a collector of `expected` acks, each with a [`share`](Self::share). The receiver
    /// resolves when all shares have been used or dropped.
    pub(crate) fn new(expected: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let state = Collected { missing: expected, responses: Vec::new(), done: Some(done) };
        (Arc::new(Self(Mutex::new(state))), all)
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share(Some(self.clone()))
    }

    pub(crate) fn take(&self) -> Vec<Args> {
        std::mem::take(&mut lock(&self.0).responses)
    }

    fn add(&self, response: Option<Args>) {
        let done = {
            let mut state = lock(&self.0);
            state.missing = state.missing.saturating_sub(1);
            state.responses.extend(response);
            if state.missing == 0 { state.done.take() } else { None }
        };
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_dropped_is_accounted_for() {
        let (collector, mut all) = Collector::new(2);
        let (one, two) = (collector.share(), Waiter::Many(collector.share()));
        drop(one);
        assert!(all.try_recv().is_err());
        two.resolve(Err(AckError::Timeout));
        all.try_recv().unwrap();
        assert!(collector.take().is_empty());
    }
}
