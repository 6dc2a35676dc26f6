//! What a namespace has warned of. An engine that refuses every message would otherwise fill the log.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// How many are remembered.
const REMEMBERED: usize = 16;

/// The texts of the last warnings, and when they were given.
#[derive(Default)]
pub(super) struct Warnings(Mutex<HashMap<String, Instant>>);

impl Warnings {
    /// Whether this was not said a moment ago. It counts as said.
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
    async fn the_same_warning_is_given_once_a_minute() {
        let warnings = Warnings::default();
        assert!(warnings.is_news(&"a"));
        assert!(!warnings.is_news(&"a"));
        assert!(warnings.is_news(&"b"));
        tokio::time::advance(QUIET).await;
        assert!(warnings.is_news(&"a"));
        assert!((0..100).filter(|n| warnings.is_news(n)).count() < REMEMBERED);
    }
}
