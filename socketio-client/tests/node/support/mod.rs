//! What the tests share: servers as processes, a proxy that cuts lines, and clients of every kind.

pub(crate) mod case;
pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod seen;

use std::time::Duration;

/// Far beyond anything configured; only so that what never comes fails a test instead of hanging it.
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
