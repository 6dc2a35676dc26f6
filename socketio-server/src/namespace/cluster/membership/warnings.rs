//! Limits repeated warnings of a namespace. An engine that refuses every message would otherwise
//! fill the log.

use std::{collections::HashMap, fmt::Display, time::Duration};

use tokio::time::Instant;

use crate::sync::{Mutex, lock};

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// Maximum number of remembered warnings.
const REMEMBERED: usize = 16;

/// The texts of recent warnings, with their times.
#[derive(Default)]
pub(super) struct Warnings(Mutex<HashMap<String, Instant>>);

impl Warnings {
    /// Returns whether this warning was not logged recently, and records it.
    pub(super) fn is_new(&self, what: &impl Display) -> bool {
        let (text, now) = (what.to_string(), Instant::now());
        let mut logged = lock(&self.0);
        logged.retain(|_, at| now.duration_since(*at) < QUIET);
        if logged.contains_key(&text) || logged.len() >= REMEMBERED {
            return false;
        }
        logged.insert(text, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_logged_at_most_once_a_minute() {
        let warnings = Warnings::default();
        assert!(warnings.is_new(&"a"));
        assert!(!warnings.is_new(&"a"));
        assert!(warnings.is_new(&"b"));
        tokio::time::advance(QUIET).await;
        assert!(warnings.is_new(&"a"));
        assert!((0..100).filter(|n| warnings.is_new(n)).count() < REMEMBERED);
    }
}
