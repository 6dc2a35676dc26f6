//! The subscriptions of a namespace, and which of them have messages.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use async_nats::{Message, Subscriber};
use futures_core::Stream;
use socketio_adapter::internal::lock;
use tokio::sync::Notify;

/// A set of subscriptions. The waker of each records which subscription is ready, so the cost of a
/// pass depends on the number of ready subscriptions only.
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

struct SubscriptionWaker {
    key: Key,
    ready: Arc<Ready>,
}

impl Wake for SubscriptionWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready.keys).push(self.key);
        self.ready.woken.notify_one();
    }
}

impl Subscriptions {
    /// Creates an empty set. `woken` is notified when a subscription has messages.
    pub(crate) fn new(woken: Arc<Notify>) -> Self {
        let ready = Arc::new(Ready { keys: Mutex::default(), woken });
        Self { ready, open: HashMap::new(), next: 0 }
    }

    pub(crate) fn add(&mut self, subscriber: Subscriber) -> Key {
        let key = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(SubscriptionWaker { key, ready: self.ready.clone() }));
        // The subscription may already have messages.
        waker.wake_by_ref();
        self.open.insert(key, (subscriber, waker));
        key
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.open.remove(&key);
    }

    /// Takes all messages of the subscriptions that were woken before this call. Must run without
    /// tokio's cooperative budget: once that is spent, a queue with messages reports that it is
    /// empty.
    pub(crate) fn take_ready(&mut self) -> Result<Vec<Message>, ClientClosed> {
        let keys = std::mem::take(&mut *lock(&self.ready.keys));
        let mut seen = Vec::new();
        for key in keys {
            let Some((subscriber, waker)) = self.open.get_mut(&key) else { continue };
            let mut context = Context::from_waker(waker);
            loop {
                match Pin::new(&mut *subscriber).poll_next(&mut context) {
                    Poll::Ready(Some(message)) => seen.push(message),
                    Poll::Ready(None) => return Err(ClientClosed),
                    Poll::Pending => break,
                }
            }
        }
        Ok(seen)
    }
}

/// The NATS client has closed.
pub(crate) struct ClientClosed;
