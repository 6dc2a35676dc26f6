//! How the handles wake the connection's task, and how it knows whether there is anything to look at.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::Waker,
};

/// The task is at work, or was woken: it looks once more before it sleeps.
const AWAKE: u8 = 1;
const SENT: u8 = 2;
const ASKED: u8 = 4;

/// What is raised while the task is at work, by its own handlers above all, wakes nobody and takes no lock.
#[derive(Debug)]
pub(crate) struct Signal {
    bits: AtomicU8,
    /// There while the task sleeps.
    waker: Mutex<Option<Waker>>,
}

/// What was raised since it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raised(u8);

impl Raised {
    /// A socket has something to send.
    pub(crate) fn sent(self) -> bool {
        self.0 & SENT != 0
    }

    /// A handle asks for something else.
    pub(crate) fn asked(self) -> bool {
        self.0 & ASKED != 0
    }
}

impl Default for Signal {
    /// Of a task that is about to start, and looks at everything.
    fn default() -> Self {
        Self { bits: AtomicU8::new(AWAKE | SENT | ASKED), waker: Mutex::new(None) }
    }
}

impl Signal {
    /// There is something to send. Said after it was queued.
    pub(crate) fn sent(&self) {
        self.raise(SENT);
    }

    /// A handle asks for something. Said after it was written down.
    pub(crate) fn asked(&self) {
        self.raise(ASKED);
    }

    fn raise(&self, bit: u8) {
        if self.bits.fetch_or(bit | AWAKE, Ordering::AcqRel) & AWAKE == 0 {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The task is at work.
    pub(crate) fn work(&self) {
        self.bits.fetch_or(AWAKE, Ordering::AcqRel);
    }

    /// What was raised; it is for the caller to look at it now.
    pub(crate) fn take(&self) -> Raised {
        if self.bits.load(Ordering::Relaxed) == AWAKE {
            return Raised(0);
        }
        Raised(self.bits.swap(AWAKE, Ordering::AcqRel))
    }

    /// Whether a handle asks for something. It stays raised.
    pub(crate) fn is_asked(&self) -> bool {
        self.bits.load(Ordering::Acquire) & ASKED != 0
    }

    /// From now on the task is woken. `false`: something was raised, it has to look first.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let former = {
            let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(known) if known.will_wake(waker) => None,
                _ => slot.replace(waker.clone()),
            }
        };
        drop(former);
        self.bits.compare_exchange(AWAKE, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn who_sleeps_is_woken_once_and_who_works_is_not() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let signal = Signal::default();
        assert!(!signal.sleep(&waker), "at first there is everything to look at");
        let raised = signal.take();
        assert!(raised.sent() && raised.asked());
        signal.sent();
        assert!(!signal.sleep(&waker));
        assert!(signal.take().sent() && !signal.take().asked());
        assert!(signal.sleep(&waker));
        assert_eq!(count.0.load(SeqCst), 0);

        signal.asked();
        signal.asked();
        signal.sent();
        assert_eq!(count.0.load(SeqCst), 1);
        signal.work();
        let raised = signal.take();
        assert!(raised.sent() && raised.asked());
        assert!(signal.sleep(&waker));

        // Woken by something else: nothing is raised, and what is raised meanwhile wakes nobody.
        signal.work();
        assert_eq!(signal.take(), Raised(0));
        signal.sent();
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(!signal.sleep(&waker));
    }
}
