//! Attempts that start one after another and overlap.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// One of several ways to the same result.
pub(in crate::engine) type Attempt<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Starts each attempt `delay` after the preceding one, or as soon as all preceding ones have
/// failed. Returns the first success and drops the others, or the last failure. Returns `None`
/// without attempts.
pub(in crate::engine) async fn race<T, E>(
    mut waiting: VecDeque<Attempt<T, E>>,
    delay: Duration,
) -> Option<Result<T, E>> {
    let mut running: Vec<Attempt<T, E>> = Vec::new();
    let mut failure = None;
    let mut timer = pin!(sleep(delay));
    poll_fn(|cx| {
        loop {
            let due = running.is_empty() || timer.as_mut().poll(cx).is_ready();
            let next = if due { waiting.pop_front() } else { None };
            let started = next.is_some();
            if let Some(attempt) = next {
                running.push(attempt);
                timer.as_mut().reset(Instant::now() + delay);
            }
            let mut success = None;
            running.retain_mut(|attempt| {
                if success.is_some() {
                    return true;
                }
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => return true,
                    Poll::Ready(Ok(value)) => success = Some(Ok(value)),
                    Poll::Ready(Err(error)) => failure = Some(Err(error)),
                }
                false
            });
            if success.is_some() {
                return Poll::Ready(success);
            }
            if running.is_empty() && waiting.is_empty() {
                return Poll::Ready(failure.take());
            }
            // After a start the timer has to be polled again.
            if !started && !running.is_empty() {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(200);

    /// Runs attempts that end after the given milliseconds. Returns the winner and the time.
    async fn run(attempts: &[(u64, bool)]) -> (Option<Result<usize, usize>>, u128) {
        let attempts = attempts.iter().copied().enumerate().map(|(index, (millis, works))| {
            let attempt = async move {
                sleep(Duration::from_millis(millis)).await;
                if works { Ok(index) } else { Err(index) }
            };
            Box::pin(attempt) as Attempt<usize, usize>
        });
        let start = Instant::now();
        let result = race(attempts.collect(), DELAY).await;
        (result, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_starts_when_the_preceding_one_is_slow_or_has_failed() {
        assert_eq!(run(&[]).await, (None, 0));
        assert_eq!(run(&[(150, true), (10, true)]).await, (Some(Ok(0)), 150));
        assert_eq!(run(&[(1000, true), (10, true)]).await, (Some(Ok(1)), 210));
        assert_eq!(run(&[(250, true), (100, true)]).await, (Some(Ok(0)), 250));
        assert_eq!(run(&[(10, false), (10, true), (0, true)]).await, (Some(Ok(1)), 20));
        assert_eq!(run(&[(300, false), (10, false), (10, true)]).await, (Some(Ok(2)), 310));
        assert_eq!(run(&[(300, false), (10, false)]).await, (Some(Err(0)), 300));
    }
}
