//! Events that wait until another ack may be awaited.

use std::{
    future::Future,
    sync::{OnceLock, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

use crate::sync::atomic::AtomicUsize;

/// The calls of one connection that wait for room in the table of acks. Most connections never have
/// one.
#[derive(Debug, Default)]
pub(crate) struct AckRoom(OnceLock<Box<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    /// Held by the first call. The others queue for it, in order.
    queue: Mutex<()>,
    freed: Notify,
    waiting: AtomicUsize,
}

/// The reason why a call got no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Too many calls are waiting.
    Full,
    /// The call's time is over.
    TimedOut,
    /// The call's socket is disconnected.
    Disconnected,
}

impl AckRoom {
    /// Wakes the next call, because an ack has left the table.
    pub(crate) fn freed(&self) {
        // A call increments the counter before it checks the table, and this runs after the table
        // has changed, so no wake-up is lost.
        if let Some(calls) = self.calls() {
            calls.freed.notify_one();
        }
    }

    /// Returns the calls, if any call waits.
    fn calls(&self) -> Option<&Calls> {
        self.0.get().map(|calls| &**calls).filter(|it| it.waiting.load(Ordering::Acquire) > 0)
    }

    /// Repeats an attempt until it succeeds, behind earlier calls. At most `limit` calls wait, each
    /// for at most `time_limit` and until its socket is `gone`.
    pub(crate) async fn wait<T, G: Future<Output = ()>>(
        &self,
        limit: usize,
        time_limit: Duration,
        gone: impl FnOnce() -> G,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, NoRoom> {
        if self.calls().is_none()
            && let Some(done) = attempt()
        {
            return Ok(done);
        }
        let calls = self.0.get_or_init(Box::default);
        let waiting_call = WaitingCall(&calls.waiting);
        if waiting_call.0.fetch_add(1, Ordering::AcqRel) >= limit {
            return Err(NoRoom::Full);
        }
        let entered = async {
            let _first = calls.queue.lock().await;
            loop {
                if let Some(done) = attempt() {
                    return done;
                }
                calls.freed.notified().await;
            }
        };
        let ended = async {
            tokio::select! {
                biased;
                done = timeout(time_limit, entered) => done.map_err(|_| NoRoom::TimedOut),
                () = gone() => Err(NoRoom::Disconnected),
            }
        };
        // Boxed, because few calls wait and the caller's future should stay small.
        Box::pin(ended).await
    }
}

/// Counts a waiting call until it is dropped.
struct WaitingCall<'a>(&'a AtomicUsize);

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_enter_in_order_and_only_a_limited_number_waits() {
        let (room, free) = (Arc::new(AckRoom::default()), Arc::new(AtomicUsize::new(0)));
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let call = |n: u32, seconds| {
            let (room, free, order) = (room.clone(), free.clone(), order.clone());
            tokio::spawn(async move {
                let take = || {
                    let less = |free: usize| free.checked_sub(1);
                    free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).ok()?;
                    order.lock().unwrap().push(n);
                    Some(())
                };
                room.wait(3, Duration::from_secs(seconds), std::future::pending, take).await
            })
        };
        let calls = [call(1, 100), call(2, 1), call(3, 100)];
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(call(4, 100).await.unwrap(), Err(NoRoom::Full));
        tokio::time::sleep(Duration::from_secs(2)).await;
        free.store(1, Ordering::SeqCst);
        room.freed();
        tokio::time::sleep(Duration::from_millis(1)).await;
        free.store(1, Ordering::SeqCst);
        room.freed();
        let mut ends = Vec::new();
        for call in calls {
            ends.push(call.await.unwrap());
        }
        assert_eq!(ends, [Ok(()), Err(NoRoom::TimedOut), Ok(())]);
        assert_eq!(*order.lock().unwrap(), [1, 3]);
        // No call waits any more, so room is taken at once.
        free.store(1, Ordering::SeqCst);
        assert_eq!(call(5, 0).await.unwrap(), Ok(()));
    }
}
