//! Subscriptions of all namespaces over one connection, which are restored when the connection is
//! lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use redis::{Cmd, PushInfo, PushKind, RedisError, RedisResult, Value, cmd};
use socketio_adapter::{AdapterError, internal::lock};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use crate::{
    command_connection::{Pauses, connect, engine},
    conn::{Conn, Connector, OnPush, Target, is_fatal},
    refusals::{Refusals, SubscriptionRefused, is_refusal},
};

/// How often an idle connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before a connection to a Redis Cluster is checked after subscriptions have changed.
const CHECK_PAUSE: Duration = Duration::from_secs(1);
/// After this many failed checks in a row, the connection to a Redis Cluster is replaced.
const MAX_FAILED_CHECKS: usize = 2;
/// Pause before a Redis Cluster is asked again for subscriptions that it has refused.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// After this many refusals, the connection to a Redis Cluster is replaced.
const MAX_REFUSALS: usize = 50;
/// Largest number of concurrent subscribe commands.
const MAX_CONCURRENT: usize = 64;

/// How a channel is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Plain,
    Pattern,
    Sharded,
}

/// A channel or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Topic {
    pub(crate) kind: Kind,
    pub(crate) name: Bytes,
}

/// Receives the channel and the message. Must not block.
pub(crate) type OnMessage = Arc<dyn Fn(&[u8], Bytes) + Send + Sync>;

/// A listener to a topic. The number distinguishes several listeners to the same topic.
#[derive(Clone)]
struct Listener {
    number: u64,
    on_message: OnMessage,
}

pub(crate) struct Subscriber {
    connector: Connector,
    target: Target,
    state: Mutex<State>,
    /// Wakes the task when there is something to do.
    wake: Notify,
    /// Notified when the task has done something.
    done: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<Topic, Vec<Listener>>,
    /// Topics that Redis has confirmed.
    active: HashSet<Topic>,
    /// Topics that Redis has refused. They are retried from time to time.
    refused: Refusals,
    /// Topics for which a joining namespace waits.
    awaited: HashSet<Topic>,
    /// Topics whose subscription may have to change. Empty without a connection; all wanted topics
    /// after connecting.
    dirty: HashSet<Topic>,
    /// The number of the current connection.
    connected: Option<u64>,
    connections: u64,
    /// Incremented whenever earlier confirmations become invalid.
    epoch: u64,
    /// Whether Redis has reported the right number of subscriptions before. A proxy may not.
    count_is_reliable: bool,
}

impl Subscriber {
    pub(crate) fn new(connector: Connector, target: Target) -> Arc<Self> {
        let (state, wake) = (Mutex::default(), Notify::new());
        Arc::new(Self { connector, target, state, wake, done: watch::Sender::new(()) })
    }

    /// Adds a listener to a topic. The subscription becomes active later.
    pub(crate) fn add(&self, topic: Topic, number: u64, on_message: OnMessage) {
        self.listen(topic, number, on_message, false);
    }

    /// Like [`add`](Self::add), for callers that wait with [`wait_active`](Self::wait_active).
    pub(crate) fn add_awaited(&self, topic: Topic, number: u64, on_message: OnMessage) {
        self.listen(topic, number, on_message, true);
    }

    fn listen(&self, topic: Topic, number: u64, on_message: OnMessage, awaited: bool) {
        let mut state = lock(&self.state);
        if awaited {
            state.awaited.insert(topic.clone());
        }
        state.wanted.entry(topic.clone()).or_default().push(Listener { number, on_message });
        state.mark_dirty(topic);
        drop(state);
        self.wake.notify_one();
    }

    /// Removes a listener.
    pub(crate) fn remove(&self, topic: Topic, number: u64) {
        let mut state = lock(&self.state);
        if let Some(listeners) = state.wanted.get_mut(&topic) {
            listeners.retain(|listener| listener.number != number);
            if listeners.is_empty() {
                state.wanted.remove(&topic);
                state.refused.forget(&topic);
                state.awaited.remove(&topic);
                state.mark_dirty(topic);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until Redis has confirmed all topics, or has refused one of them.
    pub(crate) async fn wait_active(&self, topics: &[Topic]) -> Result<(), AdapterError> {
        let timeouts = self.connector.timeouts();
        let wait_active = async {
            let mut done = self.done.subscribe();
            while !topics.iter().all(|topic| self.is_active(topic)) {
                if let Some(refused) = lock(&self.state).refused.of(topics) {
                    return Err(AdapterError::Denied(Box::new(refused)));
                }
                // The sender lives in `self`.
                let _ = done.changed().await;
            }
            Ok(())
        };
        let wait_active = timeout(timeouts.connection + timeouts.response, wait_active).await;
        let wait_active = wait_active.unwrap_or_else(|_| Err(engine(NotSubscribed)));
        let mut state = lock(&self.state);
        for topic in topics {
            state.awaited.remove(topic);
        }
        wait_active
    }

    pub(crate) fn is_active(&self, topic: &Topic) -> bool {
        lock(&self.state).active.contains(topic)
    }

    /// Maintains the connection and the subscriptions. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pauses = Pauses::default();
        loop {
            let number = {
                let mut state = lock(&self.state);
                state.connections += 1;
                state.connections
            };
            let conn = connect(&self.connector, self.target, self.on_push(number)).await;
            lock(&self.state).start(number);
            let since = Instant::now();
            self.serve(conn).await;
            lock(&self.state).end();
            // A connection that breaks as soon as it is used must not be replaced in a tight loop.
            match since.elapsed() < CHECK_INTERVAL {
                true => tokio::time::sleep(pauses.next()).await,
                false => pauses = Pauses::default(),
            }
        }
    }

    /// Runs until the connection is lost.
    async fn serve(&self, mut conn: Conn) {
        let (mut refusals, mut failed_checks) = (0, 0);
        let mut check = Instant::now() + CHECK_INTERVAL;
        loop {
            let reconciled = self.reconcile(&conn).await;
            self.done.send_replace(());
            if reconciled == Reconciled::Failed {
                refusals += 1;
                if !conn.is_cluster() || refusals > MAX_REFUSALS {
                    return;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            refusals = 0;
            if conn.is_cluster() && reconciled == Reconciled::Changed {
                check = check.min(Instant::now() + CHECK_PAUSE);
            }
            let retry = lock(&self.state).refused.next_retry();
            let retry = async {
                match retry {
                    Some(retry) => tokio::time::sleep_until(retry).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = retry => {}
                () = tokio::time::sleep_until(check) => {
                    failed_checks = if self.check(&mut conn).await { 0 } else { failed_checks + 1 };
                    if failed_checks > 0 && (!conn.is_cluster() || failed_checks >= MAX_FAILED_CHECKS) {
                        return;
                    }
                    check = Instant::now() + CHECK_INTERVAL;
                }
            }
            if lock(&self.state).connected.is_none() {
                return;
            }
        }
    }

    /// Returns whether a connection works. Subscribes to all topics again if a Redis Cluster has
    /// another number of subscriptions.
    ///
    /// The client of a Redis Cluster loses confirmed subscriptions without notice. If several
    /// commands are redirected to a node that it does not know, for example to a replica that has
    /// replaced its master, each command opens a connection. The client keeps only the last one,
    /// and drops the others with their subscriptions.
    async fn check(&self, conn: &mut Conn) -> bool {
        if !conn.is_cluster() {
            let checked = conn.query(&cmd("PING")).await;
            // A user without permission for PING also gets a response.
            return !checked.is_err_and(|error| is_fatal(conn, &error));
        }
        let expected = lock(&self.state).confirmed();
        let counted = conn.count_subscriptions().await;
        let mut state = lock(&self.state);
        if state.confirmed() != expected {
            // A subscription has ended in the meantime.
            return true;
        }
        let expected = state.active.len();
        let works = match counted {
            Ok(None) => return true,
            Ok(Some(count)) if count == expected => {
                state.count_is_reliable |= count > 0;
                return true;
            }
            Ok(Some(count)) => {
                tracing::warn!(target: "socketio::redis", count, expected, "Redis lacks subscriptions: repeating all");
                !state.count_is_reliable
            }
            Err(error) => {
                tracing::warn!(target: "socketio::redis", %error, "cannot count the subscriptions: repeating all");
                false
            }
        };
        if let Some(number) = state.connected {
            state.start(number);
        }
        works
    }

    /// Brings the subscriptions in line with the wanted topics. A topic that Redis refuses does not
    /// affect other topics.
    async fn reconcile(&self, conn: &Conn) -> Reconciled {
        let (epoch, changes) = lock(&self.state).changes();
        let mut reconciled =
            if changes.is_empty() { Reconciled::Unchanged } else { Reconciled::Changed };
        let changes = stream::iter(changes).map(|(topic, wanted)| {
            let mut conn = conn.clone();
            async move { (change(&mut conn, &topic, wanted).await, topic, wanted) }
        });
        let mut changes = changes.buffer_unordered(MAX_CONCURRENT);
        while let Some((response, topic, wanted)) = changes.next().await {
            let Err(error) = response else {
                lock(&self.state).confirm(epoch, topic, wanted);
                continue;
            };
            if is_refusal(conn, &error) {
                self.refused(topic, error);
                continue;
            }
            tracing::warn!(target: "socketio::redis", %error, "cannot subscribe: retrying");
            lock(&self.state).dirty.insert(topic);
            reconciled = Reconciled::Failed;
            if !conn.is_cluster() {
                // The connection is replaced, so further commands on it are pointless.
                break;
            }
        }
        reconciled
    }

    /// Records a refusal. Logs one warning per member, but none if a joining namespace gets the
    /// error.
    fn refused(&self, topic: Topic, error: RedisError) {
        let refused = SubscriptionRefused::new(&topic, error);
        let mut state = lock(&self.state);
        let Some(member) = state.wanted.get(&topic).and_then(|listeners| listeners.first()) else {
            return;
        };
        let (member, awaited) = (member.number, state.awaited.contains(&topic));
        let first = state.refused.add(topic, member, refused.clone());
        drop(state);
        if first && !awaited {
            tracing::warn!(target: "socketio::redis", error = %refused, "Redis refuses a subscription: retrying");
        } else {
            tracing::debug!(target: "socketio::redis", error = %refused, "Redis refuses a subscription: retrying");
        }
    }

    fn on_push(self: &Arc<Self>, number: u64) -> OnPush {
        let subscriber = Arc::downgrade(self);
        Arc::new(move |info| {
            if let Some(subscriber) = Weak::upgrade(&subscriber) {
                subscriber.handle_push(number, info);
            }
        })
    }

    fn handle_push(&self, number: u64, info: PushInfo) {
        let kind = match info.kind {
            PushKind::Message => Kind::Plain,
            PushKind::PMessage => Kind::Pattern,
            PushKind::SMessage => Kind::Sharded,
            PushKind::Disconnection => return self.disconnected(number),
            PushKind::Unsubscribe => return self.unsubscribed(number, Kind::Plain, info),
            PushKind::PUnsubscribe => return self.unsubscribed(number, Kind::Pattern, info),
            PushKind::SUnsubscribe => return self.unsubscribed(number, Kind::Sharded, info),
            _ => return,
        };
        let mut parts = info.data.into_iter().rev();
        let (Some(payload), Some(channel)) =
            (parts.next().and_then(text), parts.next().and_then(text))
        else {
            return;
        };
        let name = match kind {
            Kind::Pattern => parts.next().and_then(text).unwrap_or_default(),
            Kind::Plain | Kind::Sharded => channel.clone(),
        };
        let listeners = lock(&self.state).wanted.get(&Topic { kind, name }).cloned();
        for listener in listeners.into_iter().flatten() {
            (listener.on_message)(&channel, payload.clone());
        }
    }

    /// Handles the loss of a connection. The connection to a Redis Cluster reconnects by itself.
    /// All topics are then subscribed again, because the lost node is not known.
    fn disconnected(&self, number: u64) {
        let mut state = lock(&self.state);
        if state.connected == Some(number) {
            if self.connector.is_cluster() && self.target == Target::EveryNode {
                state.start(number);
            } else {
                state.end();
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Handles the end of a subscription. It was requested, or the slot of the channel has moved to
    /// another node of a Redis Cluster.
    fn unsubscribed(&self, number: u64, kind: Kind, info: PushInfo) {
        let Some(name) = info.data.into_iter().next().and_then(text) else { return };
        let mut state = lock(&self.state);
        let topic = Topic { kind, name };
        let unasked = state.connected == Some(number) && state.mark_unsubscribed(topic);
        drop(state);
        if unasked {
            self.wake.notify_one();
        }
    }
}

/// The outcome of [`Subscriber::reconcile`].
#[derive(PartialEq, Eq)]
enum Reconciled {
    Unchanged,
    Changed,
    /// A subscribe command has failed. It was not refused.
    Failed,
}

impl State {
    /// Returns a value that changes whenever a confirmation becomes invalid.
    fn confirmed(&self) -> (u64, usize) {
        (self.epoch, self.active.len())
    }

    fn mark_dirty(&mut self, topic: Topic) {
        if self.connected.is_some() {
            self.dirty.insert(topic);
        }
    }

    fn start(&mut self, number: u64) {
        self.epoch += 1;
        self.connected = Some(number);
        self.active.clear();
        self.dirty = self.wanted.keys().cloned().collect();
    }

    fn end(&mut self) {
        self.epoch += 1;
        self.connected = None;
        self.active.clear();
        self.dirty.clear();
    }

    /// Records a confirmation, unless the connection was lost in the meantime.
    fn confirm(&mut self, epoch: u64, topic: Topic, wanted: bool) {
        if epoch != self.epoch {
            return;
        }
        self.refused.forget(&topic);
        if wanted {
            self.active.insert(topic);
        } else {
            self.active.remove(&topic);
        }
    }

    /// Records that Redis has ended a subscription. Returns whether the topic is wanted.
    fn mark_unsubscribed(&mut self, topic: Topic) -> bool {
        let wanted = self.wanted.contains_key(&topic);
        if self.active.remove(&topic) && wanted {
            self.dirty.insert(topic);
        }
        wanted
    }

    /// Takes the topics to subscribe to (`true`) or to unsubscribe from (`false`). Also returns the
    /// epoch.
    fn changes(&mut self) -> (u64, Vec<(Topic, bool)>) {
        self.dirty.extend(self.refused.due());
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        let changes = dirty.map(|topic| {
            let wanted = self.wanted.contains_key(&topic);
            (topic, wanted)
        });
        let changes = changes.filter(|(topic, wanted)| {
            *wanted != self.active.contains(topic) && !self.refused.waits(topic)
        });
        (self.epoch, changes.collect())
    }
}

/// Redis did not confirm subscriptions in time.
#[derive(Debug, thiserror::Error)]
#[error("Redis did not confirm the subscriptions")]
struct NotSubscribed;

async fn change(conn: &mut Conn, topic: &Topic, wanted: bool) -> RedisResult<()> {
    let name = &topic.name[..];
    match (conn, topic.kind, wanted) {
        (Conn::Cluster(conn), Kind::Sharded, true) => conn.ssubscribe(name).await,
        (Conn::Cluster(conn), Kind::Sharded, false) => conn.sunsubscribe(name).await,
        (conn, kind, wanted) => conn.query(&command(kind, wanted, name)).await.map(drop),
    }
}

fn command(kind: Kind, wanted: bool, name: &[u8]) -> Cmd {
    let mut command = cmd(match (kind, wanted) {
        (Kind::Plain, true) => "SUBSCRIBE",
        (Kind::Plain, false) => "UNSUBSCRIBE",
        (Kind::Pattern, true) => "PSUBSCRIBE",
        (Kind::Pattern, false) => "PUNSUBSCRIBE",
        (Kind::Sharded, true) => "SSUBSCRIBE",
        (Kind::Sharded, false) => "SUNSUBSCRIBE",
    });
    command.arg(name);
    command
}

fn text(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_wanting(topic: &Topic) -> State {
        let mut state = State::default();
        let on_message: OnMessage = Arc::new(|_, _| {});
        state.wanted.insert(topic.clone(), vec![Listener { number: 0, on_message }]);
        state.start(1);
        state
    }

    #[test]
    fn a_confirmation_from_before_a_node_was_lost_is_ignored() {
        let topic = Topic { kind: Kind::Sharded, name: Bytes::from_static(b"room") };
        let mut state = state_wanting(&topic);
        let (epoch, changes) = state.changes();
        assert_eq!(changes, [(topic.clone(), true)]);
        // A node of a Redis Cluster is lost. Its earlier response is processed afterwards.
        state.start(1);
        state.confirm(epoch, topic.clone(), true);
        assert_eq!(state.changes().1, [(topic, true)]);
    }

    #[test]
    fn a_subscription_that_redis_ends_is_restored_if_it_is_wanted() {
        let topic = Topic { kind: Kind::Sharded, name: Bytes::from_static(b"room") };
        let mut state = state_wanting(&topic);
        let (epoch, _) = state.changes();
        state.confirm(epoch, topic.clone(), true);
        assert!(state.mark_unsubscribed(topic.clone()));
        assert_eq!(state.changes().1, [(topic.clone(), true)]);
        state.wanted.clear();
        assert!(!state.mark_unsubscribed(topic));
        assert!(state.changes().1.is_empty());
    }
}
