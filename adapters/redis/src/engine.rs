//! State shared by all namespaces of a server: connections, and the tasks that maintain them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use redis::{Cmd, cmd};
use socketio_adapter::{AdapterError, ClusterLimits, MessageError, Published, internal::lock};
use tokio::task::AbortHandle;

use crate::{
    command_connection::CommandConnection,
    conn::{Connector, Target, Timeouts},
    nodes::{Addresses, ConfigError, Nodes},
    options::Common,
    subscriber::{Kind, OnMessage, Subscriber, Topic},
};

/// The connections of a server. They are opened when the first namespace joins, and closed when
/// this is dropped.
pub(crate) struct Engine {
    pub(crate) connector: Connector,
    pub(crate) limits: ClusterLimits,
    /// For publishing and subscribing to plain channels.
    pub(crate) node: Arc<CommandConnection>,
    /// For commands with a key. Without a Redis Cluster this is the same connection as `node`.
    pub(crate) keys: Arc<CommandConnection>,
    plain: Arc<Subscriber>,
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
        let timeouts =
            Timeouts { connection: common.connection_timeout, response: common.response_timeout };
        let connector = Connector::new(Addresses::new(nodes, common)?, timeouts);
        let node = CommandConnection::new(connector.clone(), Target::OneNode);
        let plain = Subscriber::new(connector.clone(), Target::OneNode);
        let (keys, sharded) = if connector.is_cluster() {
            let keys = CommandConnection::new(connector.clone(), Target::EveryNode);
            (keys, Subscriber::new(connector.clone(), Target::EveryNode))
        } else {
            (node.clone(), plain.clone())
        };
        let limits = ClusterLimits::default().max_message_bytes(common.max_message_bytes);
        let (joined, tasks) = (AtomicU64::new(0), Mutex::default());
        Ok(Arc::new(Self { connector, limits, node, keys, plain, sharded, joined, tasks }))
    }

    /// Returns a new number, which identifies a namespace that has joined.
    pub(crate) fn number(&self) -> u64 {
        self.joined.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts the connection for plain channels, and waits for it.
    pub(crate) async fn start_node(&self) -> Result<(), AdapterError> {
        self.start(|tasks| &mut tasks.node, || self.node.clone().run());
        self.node.ready().await
    }

    /// Starts the connection for commands with keys, and waits for it.
    pub(crate) async fn start_keys(&self) -> Result<(), AdapterError> {
        if !self.connector.is_cluster() {
            return self.start_node().await;
        }
        self.start(|tasks| &mut tasks.keys, || self.keys.clone().run());
        self.keys.ready().await
    }

    /// Subscribes a namespace to topics. Resolves when the subscriptions are active.
    pub(crate) async fn subscribe(
        &self,
        number: u64,
        topics: Vec<(Topic, OnMessage)>,
    ) -> Result<Subscriptions, AdapterError> {
        let sharded = topics.iter().any(|(topic, _)| topic.kind == Kind::Sharded);
        let subscriber = if sharded { &self.sharded } else { &self.plain };
        if sharded && self.connector.is_cluster() {
            self.start(|tasks| &mut tasks.sharded, || subscriber.clone().run());
        } else {
            self.start(|tasks| &mut tasks.plain, || subscriber.clone().run());
        }
        let names: Vec<Topic> = topics.iter().map(|(topic, _)| topic.clone()).collect();
        let subscriptions = Subscriptions {
            subscriber: subscriber.clone(),
            number,
            topics: Mutex::new(names.clone()),
        };
        for (topic, on_message) in topics {
            subscriber.add_awaited(topic, number, on_message);
        }
        // On a timeout, dropping `subscriptions` ends the subscriptions.
        subscriber.wait_active(&names).await?;
        Ok(subscriptions)
    }

    /// Runs a task until the engine is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task).abort_handle();
        let mut tasks = lock(&self.tasks);
        tasks.handles.retain(|task| !task.is_finished());
        tasks.handles.push(task);
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        started: impl FnOnce(&mut Tasks) -> &mut bool,
        task: impl FnOnce() -> F,
    ) {
        let mut tasks = lock(&self.tasks);
        if !std::mem::replace(started(&mut tasks), true) {
            let task = tokio::spawn(task()).abort_handle();
            tasks.handles.push(task);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let tasks = lock(&self.tasks);
        tasks.handles.iter().for_each(AbortHandle::abort);
    }
}

/// The subscriptions of a namespace. They end when this is dropped.
pub(crate) struct Subscriptions {
    subscriber: Arc<Subscriber>,
    number: u64,
    topics: Mutex<Vec<Topic>>,
}

impl Subscriptions {
    /// Returns an error if the subscriptions have ended.
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let ended = lock(&self.topics).is_empty();
        if ended { Err(AdapterError::NotInCluster) } else { Ok(()) }
    }

    /// Ends the subscriptions.
    pub(crate) fn end(&self) {
        let topics = std::mem::take(&mut *lock(&self.topics));
        for topic in topics {
            self.subscriber.remove(topic, self.number);
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.end();
    }
}

/// The command that publishes a message. `None` if the protocol does not need the message.
pub(crate) type Publication = Result<Option<Cmd>, MessageError>;

/// Fails if the message exceeds `max_message_bytes`, because the other nodes refuse it.
pub(crate) fn publish(
    command: &str,
    channel: &str,
    message: &[u8],
    limits: &ClusterLimits,
) -> Result<Cmd, MessageError> {
    limits.check_size(message.len())?;
    let mut publish = cmd(command);
    publish.arg(channel).arg(message);
    Ok(publish)
}

/// Publishes messages in one batch, unless the link has left.
pub(crate) async fn publish_all(
    connection: &CommandConnection,
    subscriptions: &Subscriptions,
    publications: Vec<Publication>,
) -> Vec<Published> {
    let (mut commands, mut outcomes) = (Vec::new(), Vec::with_capacity(publications.len()));
    for publication in publications {
        outcomes.push(publication.map(|command| command.map(|command| commands.push(command))));
    }
    let mut sent = match subscriptions.check() {
        Ok(()) => connection.query_all(commands).await,
        Err(_) => Vec::new(),
    }
    .into_iter();
    let mut next = || sent.next().unwrap_or(Err(AdapterError::NotInCluster)).map(|_| None);
    outcomes.into_iter().map(|there| if there?.is_some() { next() } else { Ok(None) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finished_tasks_are_removed() {
        let engine = Engine::new(&"redis://127.0.0.1".into(), &Common::default()).unwrap();
        for _ in 0..10 {
            engine.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(engine.tasks.lock().unwrap().handles.len() <= 2);
    }
}
