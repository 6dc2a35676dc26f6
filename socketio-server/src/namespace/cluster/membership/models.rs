//! Models of the two queues of a membership: threads of the application beside its task. See
//! `crate::models`.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use shuttle::{future::block_on, sync::mpsc, thread::spawn};
use socketio_adapter::{AdapterError, Body, ClusterLimits, Message};

use super::{
    publish_order::PublishOrder,
    queue::{Outgoing, Queue},
};
use crate::{models::model, sync::step};

fn message() -> Message {
    let (uid, nsp) = ("1".into(), socketio_parser::Nsp::root());
    Message { uid, nsp, body: Body::Heartbeat, seq: None }
}

#[test]
fn actions_run_once_in_order_after_the_events_before_them() {
    model(|| {
        let order = Arc::new(PublishOrder::new(10, usize::MAX));
        let delivered = Arc::new(Mutex::new(BTreeSet::new()));
        let (early, ran) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (published, log) = mpsc::channel();
        let threads = [0, 1].map(|_| {
            let (order, delivered, published) =
                (order.clone(), delivered.clone(), published.clone());
            let (early, ran) = (early.clone(), ran.clone());
            spawn(move || {
                let in_order = Arc::new(AtomicU32::new(0));
                for event in 0..2 {
                    let mut number = 0;
                    let publish = |next| {
                        number = next;
                        published.send(next)
                    };
                    order.add_event(publish).unwrap().unwrap();
                    for nth in [2 * event, 2 * event + 1] {
                        let (delivered, in_order) = (delivered.clone(), in_order.clone());
                        let (early, ran) = (early.clone(), ran.clone());
                        let action = move || {
                            step();
                            let in_turn = in_order.fetch_add(1, SeqCst) == nth;
                            let in_time = delivered.lock().unwrap().contains(&number);
                            early.fetch_add(u32::from(!in_time || !in_turn), SeqCst);
                            ran.fetch_add(1, SeqCst);
                        };
                        assert!(order.after_events(action).is_ok());
                    }
                }
            })
        });
        drop(published);
        let mut last = None;
        while let Ok(number) = log.recv() {
            assert!(last < Some(number), "{number} is published after {last:?}");
            last = Some(number);
            assert!(order.log_returned(number));
            delivered.lock().unwrap().insert(number);
            order.finish(number);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((early.load(SeqCst), ran.load(SeqCst)), (0, 8));
    });
}

#[test]
fn no_action_is_left_when_the_membership_ends() {
    model(|| {
        let order = Arc::new(PublishOrder::new(10, usize::MAX));
        let ran = Arc::new(AtomicU32::new(0));
        let threads = [0, 1].map(|_| {
            let (order, ran) = (order.clone(), ran.clone());
            spawn(move || {
                order.add_event(|_| Ok::<_, ()>(())).unwrap().unwrap();
                for _ in 0..2 {
                    let ran = ran.clone();
                    order.after_events_unlimited(move || {
                        ran.fetch_add(1, SeqCst);
                    });
                }
            })
        });
        order.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ran.load(SeqCst), 4);
    });
}

#[test]
fn an_event_whose_publication_is_in_doubt_is_delivered_once() {
    model(|| {
        let order = Arc::new(PublishOrder::new(10, usize::MAX));
        let delivered = Arc::new(AtomicU32::new(0));
        for number in 0..2 {
            order.add_event(|next| if next == number { Ok(()) } else { Err(()) }).unwrap().unwrap();
        }
        order.begin_publishing(1, message());
        let reader = {
            let (order, delivered) = (order.clone(), delivered.clone());
            spawn(move || {
                delivered.fetch_add(u32::from(order.log_returned(1)), SeqCst);
                order.finish(1);
            })
        };
        let barrier = {
            let order = order.clone();
            spawn(move || {
                order.after_events_unlimited(|| {});
                order.give_up(1);
            })
        };
        let lost = Err(AdapterError::Engine("no response".into()));
        let without_log = delivered.clone();
        let deliver = move |_| {
            without_log.fetch_add(1, SeqCst);
        };
        if order.end_publishing(&lost, deliver) {
            order.settle(2);
        }
        barrier.join().unwrap();
        reader.join().unwrap();
        assert_eq!(delivered.load(SeqCst), 1);
    });
}

#[test]
fn messages_queued_before_the_end_are_published() {
    model(|| {
        let queue = Arc::new(Queue::new(&ClusterLimits::default()));
        let threads = [0, 1].map(|_| {
            let queue = queue.clone();
            spawn(move || {
                let push = |_: &u32| queue.push(Outgoing { to: None, message: message() }).is_ok();
                (0..2).filter(push).count()
            })
        });
        let closing = queue.clone();
        let closer = spawn(move || closing.close());
        let mut taken = 0;
        while block_on(queue.next()).is_some() {
            taken += 1 + queue.take_batch(1, usize::MAX).len();
        }
        closer.join().unwrap();
        let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(taken, accepted);
    });
}
