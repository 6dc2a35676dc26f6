//! How the handles wake the connection's task, and how it knows whether there is anything to look at.

use std::task::Waker;

// Those of `loom` in `tests/signal/`, which includes this file.
use crate::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

/// The task is at work, or was woken: it looks once more before it sleeps.
const AWAKE: u8 = 1;
const SENT: u8 = 2;
const ASKED: u8 = 4;
/// The last handle is gone. It stays raised, so that the task never sleeps past it.
const STOPPED: u8 = 8;

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

    /// The last handle is gone.
    pub(crate) fn stop(&self) {
        self.raise(STOPPED);
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
        if self.bits.load(Ordering::Relaxed) & (SENT | ASKED) == 0 {
            return Raised(0);
        }
        Raised(self.bits.fetch_and(AWAKE | STOPPED, Ordering::AcqRel))
    }

    /// Whether the last handle is gone.
    pub(crate) fn is_stopped(&self) -> bool {
        self.bits.load(Ordering::Acquire) & STOPPED != 0
    }

    /// Whether a handle asks for something. It stays raised.
    pub(crate) fn is_asked(&self) -> bool {
        self.bits.load(Ordering::Acquire) & ASKED != 0
    }

    /// From now on the task is woken. `false`: something was raised, it has to look first. Once stopped, it sleeps no more.
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
