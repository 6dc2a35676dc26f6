//! The messages of a cluster with a log, which are delivered one after another in its order.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{Bus, MemoryMessage};
use crate::internal::lock;

#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<MemoryMessage>,
    /// The numbers of messages that were ever appended and delivered.
    appended: u64,
    delivered: u64,
    /// Messages through this one are delivered although their publisher has given up.
    abandoned: u64,
    /// Whether a publisher is delivering. The others wait.
    delivering: bool,
    waiting: Vec<Waker>,
}

impl Outbox {
    /// Appends messages. Returns the number of the last message.
    pub(super) fn append(&mut self, messages: Vec<MemoryMessage>) -> u64 {
        self.appended += messages.len() as u64;
        self.messages.extend(messages);
        self.appended
    }
}

/// Delivers all messages through the publisher's own. The messages that other publishers append in
/// the meantime are left to them, so every publisher gets its turn under overload.
pub(super) struct Delivery<'a> {
    pub(super) bus: &'a Bus,
    pub(super) through: u64,
}

impl Delivery<'_> {
    fn deliver(&self) {
        loop {
            let message = {
                let mut state = lock(&self.bus.state);
                let outbox = &mut state.outbox;
                let is_over = outbox.delivered >= self.through.max(outbox.abandoned);
                let message = if is_over { None } else { outbox.messages.pop_front() };
                let Some(message) = message else {
                    outbox.delivering = false;
                    let waiting = std::mem::take(&mut outbox.waiting);
                    drop(state);
                    waiting.into_iter().for_each(Waker::wake);
                    return;
                };
                message
            };
            self.bus.deliver(message);
            lock(&self.bus.state).outbox.delivered += 1;
        }
    }
}

impl Future for Delivery<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = lock(&self.bus.state);
            let outbox = &mut state.outbox;
            if outbox.delivered >= self.through {
                return Poll::Ready(());
            }
            if outbox.delivering {
                if !outbox.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    outbox.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            outbox.delivering = true;
        }
        self.deliver();
        Poll::Ready(())
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.bus.state);
            let outbox = &mut state.outbox;
            if outbox.delivered >= self.through {
                return;
            }
            if outbox.delivering {
                outbox.abandoned = outbox.abandoned.max(self.through);
                return;
            }
            outbox.delivering = true;
        }
        self.deliver();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Instant,
    };

    use socketio_parser::Nsp;

    use crate::{
        Body, BoxFuture, ClusterAdapter, ClusterMember, Inbox, Link, MemoryCluster, MemoryLog,
        Message, MessageError, Offset, event_args,
    };

    use super::*;

    struct Names(Arc<Mutex<Vec<String>>>);

    impl Inbox for Names {
        fn receive(&self, message: Message, _: Option<Offset>) {
            let Body::ServerSideEmit { args, .. } = message.body else { panic!() };
            lock(&self.0).push(args.event().to_owned());
        }

        fn undecodable(&self, error: &MessageError) {
            panic!("{error}");
        }
    }

    fn poll<T>(future: &mut BoxFuture<'static, T>) -> Poll<T> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn join(cluster: &MemoryCluster, uid: &str, names: &Arc<Mutex<Vec<String>>>) -> Arc<dyn Link> {
        let (adapter, inbox) = (cluster.adapter(), Arc::new(Names(names.clone())));
        let member = ClusterMember { nsp: Nsp::root(), uid: uid.into() };
        let mut joined: BoxFuture<'static, _> =
            Box::pin(async move { adapter.join(member, inbox).await });
        let Poll::Ready(Ok(link)) = poll(&mut joined) else { panic!() };
        link
    }

    fn publish(link: &Arc<dyn Link>, uid: &str, event: &str) -> BoxFuture<'static, ()> {
        let body = Body::ServerSideEmit { args: event_args(event, &()).unwrap(), request: None };
        let message = Message { uid: uid.into(), nsp: Nsp::root(), body, seq: None };
        let link = link.clone();
        Box::pin(async move { drop(link.publish(message).await.unwrap()) })
    }

    /// Publishes event `a` of one node. While it is being delivered, another node publishes events
    /// `b0` to `b3`.
    fn publish_meanwhile() -> (Vec<BoxFuture<'static, ()>>, Arc<Mutex<Vec<String>>>) {
        let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
        let (names, own) = (Arc::default(), Arc::default());
        let (one, two) = (join(&cluster, "one", &own), join(&cluster, "two", &own));
        join(&cluster, "three", &names);
        let publications = Arc::new(Mutex::new(None));
        let (meanwhile, filled) = (publications.clone(), Mutex::new(false));
        cluster.on_message(move |message| {
            message.deliver();
            if std::mem::replace(&mut *lock(&filled), true) {
                return;
            }
            let mut all: Vec<_> = (0..4).map(|n| publish(&two, "two", &format!("b{n}"))).collect();
            assert!(all.iter_mut().all(|publication| poll(publication).is_pending()));
            *lock(&meanwhile) = Some(all);
        });
        assert!(poll(&mut publish(&one, "one", "a")).is_ready());
        let publications = lock(&publications).take().unwrap();
        (publications, names)
    }

    #[test]
    fn a_publisher_leaves_later_messages_to_their_publishers() {
        let (mut publications, names) = publish_meanwhile();
        assert_eq!(*lock(&names), ["a"]);
        // The order of the log does not depend on which publisher runs first.
        assert!(poll(&mut publications[2]).is_ready());
        assert_eq!(*lock(&names), ["a", "b0", "b1", "b2"]);
        assert!(publications.iter_mut().take(2).all(|publication| poll(publication).is_ready()));
        assert!(poll(&mut publications[3]).is_ready());
        assert_eq!(*lock(&names), ["a", "b0", "b1", "b2", "b3"]);
    }

    #[test]
    fn messages_of_publishers_that_give_up_are_delivered() {
        let (publications, names) = publish_meanwhile();
        drop(publications);
        assert_eq!(*lock(&names), ["a", "b0", "b1", "b2", "b3"]);
    }
}
