//! What all namespaces of a server share: connections and the tasks that keep them up.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use redis::{Cmd, cmd};
use socketio_adapter::{AdapterError, ClusterLimits, Published};
use tokio::task::AbortHandle;

use crate::{
    conn::{Dial, Patience, Reach},
    lane::Lane,
    nodes::{Addresses, ConfigError, Nodes},
    options::Common,
    subscriber::{Kind, OnMessage, Subscriber, Topic},
};

/// Connections that are made when the first namespace joins, and closed when the last user of this is gone.
pub(crate) struct Engine {
    pub(crate) dial: Dial,
    pub(crate) limits: ClusterLimits,
    /// Where publishing and subscribing to plain channels go.
    pub(crate) node: Arc<Lane>,
    /// Where commands with a key go. Without a Redis Cluster there is no difference.
    pub(crate) keys: Arc<Lane>,
    pub(crate) plain: Arc<Subscriber>,
    pub(crate) sharded: Arc<Subscriber>,
    joined: AtomicU64,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    node: bool,
    keys: bool,
    plain: bool,
    sharded: bool,
    handles: Vec<AbortHandle>,
}

impl Engine {
    pub(crate) fn new(nodes: &Nodes, common: &Common) -> Result<Arc<Self>, ConfigError> {
        let patience =
            Patience { connection: common.connection_timeout, response: common.response_timeout };
        let dial = Dial::new(Addresses::new(nodes, common)?, patience);
        let node = Lane::new(dial.clone(), Reach::OneNode);
        let plain = Subscriber::new(dial.clone(), Reach::OneNode);
        let (keys, sharded) = if dial.is_cluster() {
            let keys = Lane::new(dial.clone(), Reach::EveryNode);
            (keys, Subscriber::new(dial.clone(), Reach::EveryNode))
        } else {
            (node.clone(), plain.clone())
        };
        let limits = ClusterLimits::default().max_message_bytes(common.max_message_bytes);
        let (joined, tasks) = (AtomicU64::new(0), Mutex::default());
        Ok(Arc::new(Self { dial, limits, node, keys, plain, sharded, joined, tasks }))
    }

    /// The number of one more member.
    pub(crate) fn number(&self) -> u64 {
        self.joined.fetch_add(1, Ordering::Relaxed)
    }

    /// Brings the connection for plain channels up.
    pub(crate) async fn start_node(&self) -> Result<(), AdapterError> {
        self.start(|tasks| &mut tasks.node, || self.node.clone().run());
        self.node.ready().await
    }

    /// Brings the connection for keys up.
    pub(crate) async fn start_keys(&self) -> Result<(), AdapterError> {
        if !self.dial.is_cluster() {
            return self.start_node().await;
        }
        self.start(|tasks| &mut tasks.keys, || self.keys.clone().run());
        self.keys.ready().await
    }

    /// Subscribes to topics of one member, and waits until they are active.
    pub(crate) async fn subscribe(
        &self,
        number: u64,
        topics: Vec<(Topic, OnMessage)>,
    ) -> Result<Subscribed, AdapterError> {
        let sharded = topics.iter().any(|(topic, _)| topic.kind == Kind::Sharded);
        let subscriber = if sharded { &self.sharded } else { &self.plain };
        if sharded && self.dial.is_cluster() {
            self.start(|tasks| &mut tasks.sharded, || subscriber.clone().run());
        } else {
            self.start(|tasks| &mut tasks.plain, || subscriber.clone().run());
        }
        let names: Vec<Topic> = topics.iter().map(|(topic, _)| topic.clone()).collect();
        let subscribed = Subscribed {
            subscriber: subscriber.clone(),
            number,
            topics: Mutex::new(names.clone()),
        };
        for (topic, on_message) in topics {
            subscriber.add_awaited(topic, number, on_message);
        }
        // What is not confirmed in time is given up with `subscribed`.
        subscriber.settled(&names).await?;
        Ok(subscribed)
    }

    /// Runs a task until nobody uses the engine any more.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.handles.retain(|task| !task.is_finished());
        tasks.handles.push(task);
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        started: impl FnOnce(&mut Tasks) -> &mut bool,
        task: impl FnOnce() -> F,
    ) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(started(&mut tasks), true) {
            let task = tokio::spawn(task()).abort_handle();
            tasks.handles.push(task);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.handles.iter().for_each(AbortHandle::abort);
    }
}

/// Subscriptions of one member, which end with this.
pub(crate) struct Subscribed {
    subscriber: Arc<Subscriber>,
    number: u64,
    topics: Mutex<Vec<Topic>>,
}

impl Subscribed {
    /// Whether they have not ended.
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let ended = self.topics.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if ended { Err(AdapterError::Left) } else { Ok(()) }
    }

    /// Ends them.
    pub(crate) fn end(&self) {
        let topics =
            std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner));
        for topic in topics {
            self.subscriber.remove(topic, self.number);
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn publish(command: &str, channel: &[u8], message: &[u8]) -> Cmd {
    let mut publish = cmd(command);
    publish.arg(channel).arg(message);
    publish
}

/// Sends the publications that there are in one go, unless the link has left.
pub(crate) async fn publish_all(
    lane: &Lane,
    subscribed: &Subscribed,
    publications: Vec<Option<Cmd>>,
) -> Vec<Published> {
    let there: Vec<_> = publications.iter().map(Option::is_some).collect();
    let mut sent = match subscribed.check() {
        Ok(()) => lane.query_all(publications.into_iter().flatten().collect()).await,
        Err(_) => Vec::new(),
    }
    .into_iter();
    let mut next = || sent.next().unwrap_or(Err(AdapterError::Left)).map(|_| None);
    there.into_iter().map(|there| if there { next() } else { Ok(None) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_that_have_ended_are_forgotten() {
        let engine = Engine::new(&"redis://127.0.0.1".into(), &Common::default()).unwrap();
        for _ in 0..10 {
            engine.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(engine.tasks.lock().unwrap().handles.len() <= 2);
    }
}
