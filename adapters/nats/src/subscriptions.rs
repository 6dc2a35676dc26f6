//! The subscriptions of a namespace, and which of them have something.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use async_nats::Subscriber;
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::Notify;

/// Subscriptions, each with a waker that notes which one it is: a look at them costs what is there, not how many there are.
pub(crate) struct Subscriptions {
    ready: Arc<Ready>,
    open: HashMap<Key, (Subscriber, Waker)>,
    next: Key,
}

pub(crate) type Key = u64;

struct Ready {
    keys: Mutex<Vec<Key>>,
    woken: Arc<Notify>,
}

struct Bell {
    key: Key,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(self.key);
        self.ready.woken.notify_one();
    }
}

impl Subscriptions {
    /// None yet. `woken` is told when one has something.
    pub(crate) fn new(woken: Arc<Notify>) -> Self {
        let ready = Arc::new(Ready { keys: Mutex::default(), woken });
        Self { ready, open: HashMap::new(), next: 0 }
    }

    pub(crate) fn add(&mut self, subscriber: Subscriber) -> Key {
        let key = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(Bell { key, ready: self.ready.clone() }));
        // It may have something already.
        waker.wake_by_ref();
        self.open.insert(key, (subscriber, waker));
        key
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.open.remove(&key);
    }

    /// Everything that those have which were woken before this look. To be called without tokio's budget for a task: where that is
    /// spent, a queue says that it is empty.
    pub(crate) fn look(&mut self) -> Result<Vec<Bytes>, Ended> {
        let keys =
            std::mem::take(&mut *self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = Vec::new();
        for key in keys {
            let Some((subscriber, waker)) = self.open.get_mut(&key) else { continue };
            let mut context = Context::from_waker(waker);
            loop {
                match Pin::new(&mut *subscriber).poll_next(&mut context) {
                    Poll::Ready(Some(message)) => seen.push(message.payload),
                    Poll::Ready(None) => return Err(Ended),
                    Poll::Pending => break,
                }
            }
        }
        Ok(seen)
    }
}

/// The client has ended.
pub(crate) struct Ended;
