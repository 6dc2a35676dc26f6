//! Subscriptions of all namespaces, on one connection, and subscribed again whenever it is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use redis::{Cmd, PushInfo, PushKind, RedisError, RedisResult, Value, cmd};
use socketio_adapter::AdapterError;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

pub(crate) use crate::topic::{Kind, Topic};
use crate::{
    conn::{Conn, Dial, OnPush, Reach, breaks},
    lane::{Pauses, connect, engine},
    refusals::{Refusals, SubscriptionRefused, is_refusal},
};

/// How often a quiet connection is asked whether it is alive.
const CHECK: Duration = Duration::from_secs(5);
/// Between attempts to subscribe to what a Redis Cluster has refused.
const PAUSE: Duration = Duration::from_millis(100);
/// After as many the connection to a Redis Cluster is made anew.
const ATTEMPTS: usize = 50;
/// Subscriptions that are under way at once.
const AT_ONCE: usize = 64;

/// Gets the channel and the message. It must not block.
pub(crate) type OnMessage = Arc<dyn Fn(&[u8], Bytes) + Send + Sync>;

/// Who listens. The number tells two apart that listen to the same topic.
#[derive(Clone)]
struct Listener {
    number: u64,
    on_message: OnMessage,
}

pub(crate) struct Subscriber {
    dial: Dial,
    reach: Reach,
    state: Mutex<State>,
    /// Something is to be done.
    wake: Notify,
    /// Something has been done.
    done: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<Topic, Vec<Listener>>,
    /// What Redis has confirmed.
    active: HashSet<Topic>,
    /// What Redis has refused, and tries again from time to time.
    refused: Refusals,
    /// What somebody who joins waits for.
    awaited: HashSet<Topic>,
    /// What is to be looked at. While there is no connection nothing is: afterwards everything is.
    touched: HashSet<Topic>,
    /// The number of the connection, while there is one.
    connected: Option<u64>,
    connections: u64,
    /// Grows whenever what was confirmed counts for nothing any more.
    epoch: u64,
}

impl Subscriber {
    pub(crate) fn new(dial: Dial, reach: Reach) -> Arc<Self> {
        let (state, wake) = (Mutex::default(), Notify::new());
        Arc::new(Self { dial, reach, state, wake, done: watch::Sender::new(()) })
    }

    /// Listens to a topic, from some time on.
    pub(crate) fn add(&self, topic: Topic, number: u64, on_message: OnMessage) {
        self.listen(topic, number, on_message, false);
    }

    /// The same, where [`settled`](Self::settled) is waited for.
    pub(crate) fn add_awaited(&self, topic: Topic, number: u64, on_message: OnMessage) {
        self.listen(topic, number, on_message, true);
    }

    fn listen(&self, topic: Topic, number: u64, on_message: OnMessage, awaited: bool) {
        let mut state = self.state();
        if awaited {
            state.awaited.insert(topic.clone());
        }
        state.wanted.entry(topic.clone()).or_default().push(Listener { number, on_message });
        state.touch(topic);
        drop(state);
        self.wake.notify_one();
    }

    /// Listens no more.
    pub(crate) fn remove(&self, topic: Topic, number: u64) {
        let mut state = self.state();
        if let Some(listeners) = state.wanted.get_mut(&topic) {
            listeners.retain(|listener| listener.number != number);
            if listeners.is_empty() {
                state.wanted.remove(&topic);
                state.refused.forget(&topic);
                state.awaited.remove(&topic);
                state.touch(topic);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until Redis has confirmed topics, or has refused one of them.
    pub(crate) async fn settled(&self, topics: &[Topic]) -> Result<(), AdapterError> {
        let patience = self.dial.patience();
        let settled = async {
            let mut done = self.done.subscribe();
            while !topics.iter().all(|topic| self.is_active(topic)) {
                if let Some(refused) = self.state().refused.of(topics) {
                    return Err(AdapterError::Denied(Box::new(refused)));
                }
                // The sender lives in `self`.
                let _ = done.changed().await;
            }
            Ok(())
        };
        let settled = timeout(patience.connection + patience.response, settled).await;
        let settled = settled.unwrap_or_else(|_| Err(engine(NotSubscribed)));
        let mut state = self.state();
        for topic in topics {
            state.awaited.remove(topic);
        }
        settled
    }

    pub(crate) fn is_active(&self, topic: &Topic) -> bool {
        self.state().active.contains(topic)
    }

    /// Keeps the connection and the subscriptions up. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pauses = Pauses::default();
        loop {
            let number = {
                let mut state = self.state();
                state.connections += 1;
                state.connections
            };
            let conn = connect(&self.dial, self.reach, self.on_push(number)).await;
            self.state().begin(number);
            let since = Instant::now();
            self.serve(conn).await;
            self.state().end();
            // One that breaks as soon as it is used must not be made again without end.
            match since.elapsed() < CHECK {
                true => tokio::time::sleep(pauses.next()).await,
                false => pauses = Pauses::default(),
            }
        }
    }

    /// Until the connection is lost.
    async fn serve(&self, mut conn: Conn) {
        let mut refusals = 0;
        let mut check = Instant::now() + CHECK;
        loop {
            let refused = self.reconcile(&conn).await;
            self.done.send_replace(());
            if refused {
                refusals += 1;
                if !conn.is_cluster() || refusals > ATTEMPTS {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            refusals = 0;
            let retry = self.state().refused.next_retry();
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
                    // A user who may not say PING is answered all the same.
                    if !conn.is_cluster()
                        && let Err(error) = conn.query(&cmd("PING")).await
                        && breaks(&conn, &error)
                    {
                        return;
                    }
                    check = Instant::now() + CHECK;
                }
            }
            if self.state().connected.is_none() {
                return;
            }
        }
    }

    /// Makes what is subscribed what is wanted. Whether the connection has failed at it. What Redis refuses concerns that
    /// topic alone.
    async fn reconcile(&self, conn: &Conn) -> bool {
        let (epoch, changes) = self.state().changes();
        let changes = stream::iter(changes).map(|(topic, wanted)| {
            let mut conn = conn.clone();
            async move { (change(&mut conn, &topic, wanted).await, topic, wanted) }
        });
        let mut changes = changes.buffer_unordered(AT_ONCE);
        let mut refused = false;
        while let Some((answer, topic, wanted)) = changes.next().await {
            let Err(error) = answer else {
                self.state().confirm(epoch, topic, wanted);
                continue;
            };
            if is_refusal(conn, &error) {
                self.refused(topic, error);
                continue;
            }
            tracing::warn!(target: "socketio::redis", %error, "cannot subscribe");
            self.state().touched.insert(topic);
            refused = true;
            if !conn.is_cluster() {
                // The connection is given up: nothing else needs to be tried on it.
                break;
            }
        }
        refused
    }

    /// One warning for each member, and none where somebody who joins is told.
    fn refused(&self, topic: Topic, error: RedisError) {
        let refused = SubscriptionRefused::new(&topic, error);
        let mut state = self.state();
        let Some(member) = state.wanted.get(&topic).and_then(|them| them.first()) else { return };
        let (member, awaited) = (member.number, state.awaited.contains(&topic));
        let first = state.refused.add(topic, member, refused.clone());
        drop(state);
        if first && !awaited {
            tracing::warn!(target: "socketio::redis", error = %refused, "cannot subscribe");
        } else {
            tracing::debug!(target: "socketio::redis", error = %refused, "cannot subscribe");
        }
    }

    fn on_push(self: &Arc<Self>, number: u64) -> OnPush {
        let subscriber = Arc::downgrade(self);
        Arc::new(move |info| {
            if let Some(subscriber) = Weak::upgrade(&subscriber) {
                subscriber.pushed(number, info);
            }
        })
    }

    fn pushed(&self, number: u64, info: PushInfo) {
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
        let listeners = self.state().wanted.get(&Topic { kind, name }).cloned();
        for listener in listeners.into_iter().flatten() {
            (listener.on_message)(&channel, payload.clone());
        }
    }

    /// A Redis Cluster's connection connects again; what it had subscribed to is subscribed to again, whichever node it was.
    fn disconnected(&self, number: u64) {
        let mut state = self.state();
        if state.connected == Some(number) {
            if self.dial.is_cluster() && self.reach == Reach::EveryNode {
                state.begin(number);
            } else {
                state.end();
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// As was asked for, or because a channel's slot has moved to another node of a Redis Cluster.
    fn unsubscribed(&self, number: u64, kind: Kind, info: PushInfo) {
        let Some(name) = info.data.into_iter().next().and_then(text) else { return };
        let mut state = self.state();
        let topic = Topic { kind, name };
        let unasked = state.connected == Some(number) && state.is_unsubscribed(topic);
        drop(state);
        if unasked {
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn touch(&mut self, topic: Topic) {
        if self.connected.is_some() {
            self.touched.insert(topic);
        }
    }

    fn begin(&mut self, number: u64) {
        self.epoch += 1;
        self.connected = Some(number);
        self.active.clear();
        self.touched = self.wanted.keys().cloned().collect();
    }

    fn end(&mut self) {
        self.epoch += 1;
        self.connected = None;
        self.active.clear();
        self.touched.clear();
    }

    /// Redis has done what was to be done. What it did before its connection was lost counts for nothing.
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

    /// Redis has ended a subscription. Whether it is wanted.
    fn is_unsubscribed(&mut self, topic: Topic) -> bool {
        let wanted = self.wanted.contains_key(&topic);
        if self.active.remove(&topic) && wanted {
            self.touched.insert(topic);
        }
        wanted
    }

    /// What is to be subscribed to, and what no more; and the epoch.
    fn changes(&mut self) -> (u64, Vec<(Topic, bool)>) {
        self.touched.extend(self.refused.due());
        let touched = std::mem::take(&mut self.touched).into_iter();
        let changes = touched.map(|topic| {
            let wanted = self.wanted.contains_key(&topic);
            (topic, wanted)
        });
        let changes = changes.filter(|(topic, wanted)| {
            *wanted != self.active.contains(topic) && !self.refused.waits(topic)
        });
        (self.epoch, changes.collect())
    }
}

/// Redis has not confirmed subscriptions in time.
#[derive(Debug, thiserror::Error)]
#[error("Redis has not confirmed the subscriptions")]
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

    fn wanting(topic: &Topic) -> State {
        let mut state = State::default();
        let on_message: OnMessage = Arc::new(|_, _| {});
        state.wanted.insert(topic.clone(), vec![Listener { number: 0, on_message }]);
        state.begin(1);
        state
    }

    #[test]
    fn what_was_confirmed_before_a_node_was_lost_is_subscribed_to_again() {
        let topic = Topic { kind: Kind::Sharded, name: Bytes::from_static(b"room") };
        let mut state = wanting(&topic);
        let (epoch, changes) = state.changes();
        assert_eq!(changes, [(topic.clone(), true)]);
        // A node of a Redis Cluster is lost: the answer that it gave before is read afterwards.
        state.begin(1);
        state.confirm(epoch, topic.clone(), true);
        assert_eq!(state.changes().1, [(topic, true)]);
    }

    #[test]
    fn what_redis_ends_is_subscribed_to_again_while_it_is_wanted() {
        let topic = Topic { kind: Kind::Sharded, name: Bytes::from_static(b"room") };
        let mut state = wanting(&topic);
        let (epoch, _) = state.changes();
        state.confirm(epoch, topic.clone(), true);
        assert!(state.is_unsubscribed(topic.clone()));
        assert_eq!(state.changes().1, [(topic.clone(), true)]);
        state.wanted.clear();
        assert!(!state.is_unsubscribed(topic));
        assert!(state.changes().1.is_empty());
    }
}
