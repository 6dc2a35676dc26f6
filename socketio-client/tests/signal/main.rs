//! Checks the signal between the handles and the connection's task with `loom`, in every order in
//! which threads can run. A test fails if the task sleeps although a flag is changes.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[path = "../../src/driver/signal.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod signal;

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    future::block_on,
    model::Builder,
    sync::{Arc, Mutex},
    thread,
};

use self::signal::Signal;

/// The state that the handles share with the task.
#[derive(Default)]
struct Shared {
    signal: Signal,
    outbox: Mutex<u32>,
    request: Mutex<bool>,
}

/// A handle. Dropping the last one stops the task.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.signal.stop();
    }
}

impl Owner {
    fn emit(&self) {
        *self.0.outbox.lock().unwrap() += 1;
        self.0.signal.packet_queued();
    }

    fn request(&self) {
        *self.0.request.lock().unwrap() = true;
        self.0.signal.request_made();
    }
}

/// A model of the driver's task. It works in rounds until nothing is left to do. A round takes the
/// flags more than once, so a flag raised in between is missed by the earlier checks.
struct Task {
    shared: Arc<Shared>,
    /// Dropped in the middle of a round, like the last handle in a handler.
    dropped_by_handler: Option<Arc<Owner>>,
    emitted: u32,
    requests: u32,
}

impl Task {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), dropped_by_handler: None, emitted: 0, requests: 0 }
    }

    fn flush(&mut self) {
        self.emitted += std::mem::take(&mut *self.shared.outbox.lock().unwrap());
    }

    fn take_signals(&mut self) -> bool {
        let changes = self.shared.signal.take();
        if changes.requests {
            self.requests += u32::from(std::mem::take(&mut *self.shared.request.lock().unwrap()));
        }
        if changes.packets {
            self.flush();
        }
        changes.requests || changes.packets
    }
}

impl Future for Task {
    type Output = (u32, u32);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.signal.work();
        loop {
            if self.shared.signal.is_stopped() {
                self.flush();
                return Poll::Ready((self.emitted, self.requests));
            }
            self.take_signals();
            drop(self.dropped_by_handler.take());
            if !self.take_signals() && self.shared.signal.sleep(cx.waker()) {
                return Poll::Pending;
            }
        }
    }
}

/// More than two preemptions of a thread find no further errors, and take far longer.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

#[test]
fn a_task_ends_with_its_last_handle_and_misses_nothing() {
    model(|| {
        let shared = Arc::new(Shared::default());
        let owner = Owner(shared.clone());
        let task = Task::new(&shared);
        let handle = thread::spawn(move || {
            owner.emit();
            drop(owner);
        });
        assert_eq!(block_on(task), (1, 0));
        handle.join().unwrap();
    });
}

#[test]
fn no_request_of_two_threads_is_lost_whichever_handle_is_dropped_last() {
    model(|| {
        let shared = Arc::new(Shared::default());
        let owner = Arc::new(Owner(shared.clone()));
        let other = owner.clone();
        let task = Task::new(&shared);
        let emits = thread::spawn(move || owner.emit());
        let asks = thread::spawn(move || other.emit());
        assert_eq!(block_on(task), (2, 0));
        emits.join().unwrap();
        asks.join().unwrap();
    });
}

#[test]
fn a_task_ends_with_the_handle_that_its_own_handler_drops() {
    model(|| {
        let shared = Arc::new(Shared::default());
        let owner = Arc::new(Owner(shared.clone()));
        let mut task = Task::new(&shared);
        task.dropped_by_handler = Some(owner.clone());
        let handle = thread::spawn(move || owner.emit());
        assert_eq!(block_on(task), (1, 0));
        handle.join().unwrap();
    });
}

#[test]
fn a_sleeping_task_is_woken_for_a_request() {
    struct UntilRequested(Task);

    impl Future for UntilRequested {
        type Output = u32;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
            let polled = Pin::new(&mut self.0).poll(cx);
            if self.0.requests > 0 || polled.is_ready() {
                return Poll::Ready(self.0.requests);
            }
            Poll::Pending
        }
    }

    model(|| {
        let shared = Arc::new(Shared::default());
        let owner = Arc::new(Owner(shared.clone()));
        let kept = owner.clone();
        let task = UntilRequested(Task::new(&shared));
        let handle = thread::spawn(move || owner.request());
        assert_eq!(block_on(task), 1);
        handle.join().unwrap();
        drop(kept);
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_sleeping_task_is_woken_once_and_a_working_one_is_not() {
    model(|| {
        let count = std::sync::Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let signal = Signal::default();
        assert!(!signal.sleep(&waker), "a new task has to check everything first");
        let changes = signal.take();
        assert!(changes.packets && changes.requests);
        signal.packet_queued();
        assert!(!signal.sleep(&waker));
        assert!(signal.take().packets && !signal.take().requests);
        assert!(signal.sleep(&waker));
        assert_eq!(count.0.load(SeqCst), 0);

        signal.request_made();
        signal.request_made();
        signal.packet_queued();
        assert_eq!(count.0.load(SeqCst), 1);
        signal.work();
        let changes = signal.take();
        assert!(changes.packets && changes.requests);
        assert!(signal.sleep(&waker));

        // The task was woken by something else. No flag is raised, and raising one now wakes
        // nobody.
        signal.work();
        let changes = signal.take();
        assert!(!changes.packets && !changes.requests);
        signal.packet_queued();
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(!signal.sleep(&waker));

        // The stop flag is never cleared.
        signal.stop();
        signal.take();
        assert!(signal.is_stopped() && !signal.sleep(&waker));
    });
}
