//! Shared parts of the tests: servers as processes, a proxy that cuts lines, and clients.

pub(crate) mod case;
pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod received;

use std::time::Duration;

/// Far longer than any configured time. It makes a test fail instead of hanging.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Returns the value of a future, or fails after [`TIME_LIMIT`].
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(TIME_LIMIT, future).await {
            Ok(value) => value,
            Err(_) => panic!("waited too long at {caller}"),
        }
    }
}
