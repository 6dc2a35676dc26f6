//! Flags by which the handles wake the connection's task and report changes.

use std::task::Waker;

// `loom`'s types in `tests/signal/`, which includes this file.
use crate::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
    lock,
};

/// The task is running or was woken. It checks the flags again before it sleeps.
const AWAKE: u8 = 1;
const PACKETS: u8 = 2;
const REQUESTS: u8 = 4;
/// The last handle was dropped. This flag is never cleared, so that the task cannot sleep
/// afterwards.
const STOPPED: u8 = 8;

/// The flags. Raising a flag while the task runs takes no lock and wakes no task. The task's
/// own handlers do this most often.
#[derive(Debug)]
pub(crate) struct Signal {
    bits: AtomicU8,
    /// The task's waker, while the task sleeps.
    waker: Mutex<Option<Waker>>,
}

/// The changes that the task has to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// A socket may have something to send.
    pub(crate) packets: bool,
    /// Something may have changed that affects namespaces or the connection.
    pub(crate) requests: bool,
}

impl Changes {
    pub(crate) const ALL: Self = Self { packets: true, requests: true };

    /// Adds the changes that the handles have reported.
    pub(crate) fn add(&mut self, more: Self) {
        self.packets |= more.packets;
        self.requests |= more.requests;
    }
}

impl Default for Signal {
    /// Returns the state of a task that is about to start and has to check everything.
    fn default() -> Self {
        Self { bits: AtomicU8::new(AWAKE | PACKETS | REQUESTS), waker: Mutex::new(None) }
    }
}

impl Signal {
    /// Tells the task that there is something to send. Call it after queueing the packet.
    pub(crate) fn packet_queued(&self) {
        self.raise(PACKETS);
    }

    /// Tells the task that a handle has a request. Call it after recording the request.
    pub(crate) fn request_made(&self) {
        self.raise(REQUESTS);
    }

    /// Tells the task that the last handle was dropped.
    pub(crate) fn stop(&self) {
        self.raise(STOPPED);
    }

    fn raise(&self, bit: u8) {
        if self.bits.fetch_or(bit | AWAKE, Ordering::AcqRel) & AWAKE == 0 {
            let waker = lock(&self.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Marks the task as running.
    pub(crate) fn work(&self) {
        self.bits.fetch_or(AWAKE, Ordering::AcqRel);
    }

    /// Returns and clears the changes reported since the last call. The caller must act on them.
    pub(crate) fn take(&self) -> Changes {
        if self.bits.load(Ordering::Relaxed) & (PACKETS | REQUESTS) == 0 {
            return Changes::default();
        }
        let bits = self.bits.fetch_and(AWAKE | STOPPED, Ordering::AcqRel);
        Changes { packets: bits & PACKETS != 0, requests: bits & REQUESTS != 0 }
    }

    /// Returns whether the last handle was dropped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.bits.load(Ordering::Acquire) & STOPPED != 0
    }

    /// Returns whether a handle has a request, and keeps the flag.
    pub(crate) fn has_request(&self) -> bool {
        self.bits.load(Ordering::Acquire) & REQUESTS != 0
    }

    /// Registers the waker and marks the task as sleeping. Returns `false` if a flag is raised; the
    /// task must then check it before it sleeps. After [`stop`](Self::stop) the result is always
    /// `false`.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let former = {
            let mut slot = lock(&self.waker);
            match &*slot {
                Some(known) if known.will_wake(waker) => None,
                _ => slot.replace(waker.clone()),
            }
        };
        drop(former);
        self.bits.compare_exchange(AWAKE, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
