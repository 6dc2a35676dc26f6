//! Subscriptions that Redis has refused, for example because of an ACL. A refusal affects only its own
//! channel. The subscription is retried after a pause that doubles each time.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use redis::RedisError;
use tokio::time::Instant;

use crate::{
    conn::{Conn, is_fatal},
    subscriber::Topic,
};

/// The first and the longest pause before a refused subscription is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Refusals {
    topics: HashMap<Topic, Refusal>,
    /// The number of refused topics of each member.
    members: HashMap<u64, usize>,
}

struct Refusal {
    member: u64,
    retry: Instant,
    pause: Duration,
    error: SubscriptionRefused,
}

/// Redis has refused a subscription.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionRefused {
    channel: String,
    error: Arc<RedisError>,
}

impl SubscriptionRefused {
    pub(crate) fn new(topic: &Topic, error: RedisError) -> Self {
        let channel = String::from_utf8_lossy(&topic.name).into_owned();
        Self { channel, error: Arc::new(error) }
    }
}

impl fmt::Display for SubscriptionRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis refuses the subscription to `{}`: {}", self.channel, self.error)
    }
}

impl std::error::Error for SubscriptionRefused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Returns whether an error is a refusal of a subscription, and not a failure of the connection. In a
/// Redis Cluster only missing permissions are refusals. Other errors are temporary: a slot moves, or
/// a master is missing.
pub(crate) fn is_refusal(conn: &Conn, error: &RedisError) -> bool {
    is_denied(error) || (!conn.is_cluster() && !is_fatal(conn, error))
}

/// Returns whether the user lacks a permission.
pub(crate) fn is_denied(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

impl Refusals {
    /// Records a refusal. Returns whether it is the member's first one.
    pub(crate) fn add(&mut self, topic: Topic, member: u64, error: SubscriptionRefused) -> bool {
        let now = Instant::now();
        if let Some(refusal) = self.topics.get_mut(&topic) {
            refusal.pause = (refusal.pause * 2).min(MAX_RETRY_PAUSE);
            refusal.retry = now + refusal.pause;
            refusal.error = error;
            return false;
        }
        self.topics
            .insert(topic, Refusal { member, retry: now + RETRY_PAUSE, pause: RETRY_PAUSE, error });
        let refused = self.members.entry(member).or_default();
        *refused += 1;
        *refused == 1
    }

    /// Removes a topic that was granted or is no longer wanted.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        let Some(Refusal { member, .. }) = self.topics.remove(topic) else { return };
        if let Some(refused) = self.members.get_mut(&member) {
            *refused -= 1;
            if *refused == 0 {
                self.members.remove(&member);
            }
        }
    }

    /// Returns why one of these topics was refused.
    pub(crate) fn of(&self, topics: &[Topic]) -> Option<SubscriptionRefused> {
        topics.iter().find_map(|topic| Some(self.topics.get(topic)?.error.clone()))
    }

    /// Returns whether it is too early to retry a topic.
    pub(crate) fn waits(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|refusal| refusal.retry > Instant::now())
    }

    /// Returns the topics to retry now.
    pub(crate) fn due(&self) -> impl Iterator<Item = Topic> {
        let now = Instant::now();
        let due = self.topics.iter().filter(move |(_, refusal)| refusal.retry <= now);
        due.map(|(topic, _)| topic.clone())
    }

    /// Returns when to retry the next topic.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.topics.values().map(|refusal| refusal.retry).min()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::subscriber::Kind;

    fn topic(name: &'static str) -> Topic {
        Topic { kind: Kind::Plain, name: Bytes::from_static(name.as_bytes()) }
    }

    fn refused(topic: &Topic) -> SubscriptionRefused {
        let error = RedisError::from((redis::ErrorKind::AuthenticationFailed, "no"));
        SubscriptionRefused::new(topic, error)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_topic_is_tried_again_after_pauses_that_double() {
        let (mut refusals, topic) = (Refusals::default(), topic("a"));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            refusals.add(topic.clone(), 0, refused(&topic));
            let pause = refusals.next_retry().unwrap() - Instant::now();
            assert_eq!(pause, Duration::from_secs(seconds));
            assert!(refusals.waits(&topic) && refusals.due().next().is_none());
            tokio::time::advance(pause).await;
            assert!(!refusals.waits(&topic) && refusals.due().next().is_some());
        }
        refusals.forget(&topic);
        assert!(refusals.next_retry().is_none() && refusals.of(&[topic]).is_none());
    }

    #[tokio::test]
    async fn only_the_first_refusal_of_a_member_is_news() {
        let mut refusals = Refusals::default();
        let [one, two, other] = ["one", "two", "other"].map(topic);
        assert!(refusals.add(one.clone(), 1, refused(&one)));
        assert!(!refusals.add(two.clone(), 1, refused(&two)));
        assert!(!refusals.add(one.clone(), 1, refused(&one)));
        assert!(refusals.add(other.clone(), 2, refused(&other)));
        refusals.forget(&one);
        refusals.forget(&two);
        assert!(refusals.add(one.clone(), 1, refused(&one)));
        assert!(refusals.of(&[one]).unwrap().to_string().contains("`one`"));
    }
}
