//! Limits repeated warnings of a namespace. An engine that refuses every message would otherwise
//! fill the log.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// Maximum number of remembered warnings.
const REMEMBERED: usize = 16;

/// The texts of recent warnings, with their times.
#[derive(Default)]
pub(super) struct Warnings(Mutex<HashMap<String, Instant>>);

impl Warnings {
    /// Returns whether this warning was not logged recently, and records it.
    pub(super) fn is_news(&self, what: &impl Display) -> bool {
        let (text, now) = (what.to_string(), Instant::now());
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| now.duration_since(*at) < QUIET);
        if said.contains_key(&text) || said.len() >= REMEMBERED {
            return false;
        }
        said.insert(text, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_logged_at_most_once_a_minute() {
        let warnings = Warnings::default();
        assert!(warnings.is_news(&"a"));
        assert!(!warnings.is_news(&"a"));
        assert!(warnings.is_news(&"b"));
        tokio::time::advance(QUIET).await;
        assert!(warnings.is_news(&"a"));
        assert!((0..100).filter(|n| warnings.is_news(n)).count() < REMEMBERED);
    }
}
