//! Shared parts of the tests: servers as processes, a proxy that cuts lines, and clients.

pub(crate) mod case;
pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod seen;

use std::time::Duration;

/// Far longer than any configured time. It makes a test fail instead of hanging.
const PATIENCE: Duration = Duration::from_secs(15);

/// What comes, but not for ever.
#[track_caller]
pub(crate) fn within<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, what).await {
            Ok(value) => value,
            Err(_) => panic!("waited too long at {caller}"),
        }
    }
}
