//! Plain pub/sub, like `createAdapter` of `@socket.io/redis-adapter`: a pattern per namespace for
//! broadcasts, and channels for requests and replies.

#[cfg(test)]
#[path = "../../tests/golden/mod.rs"]
mod golden;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use redis::cmd;
use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterLimits, ClusterMember, Inbox, Link, Message, NodeId,
    Offset, Published,
};

use crate::{
    engine::{Engine, Publication, Subscriptions, publish, publish_all},
    nodes::Nodes,
    options::{Common, common, options},
    subscriber::{Kind, OnMessage, Topic},
};

/// Options of [`RedisAdapter::classic`](crate::RedisAdapter::classic).
#[derive(Clone, Debug)]
#[must_use]
pub struct Classic {
    pub(crate) nodes: Nodes,
    pub(crate) common: Common,
    key: String,
    publish_on_specific_response_channel: bool,
}

impl Classic {
    pub(crate) fn new(nodes: Nodes) -> Self {
        let (common, key) = (Common::default(), String::from("socket.io"));
        Self { nodes, common, key, publish_on_specific_response_channel: false }
    }

    options! {
        /// Sets the prefix of channels (default `socket.io`).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::classic("redis://127.0.0.1").key("chat");
        /// ```
        key: String;
        /// Sets whether replies go to a channel of the requesting node, instead of a channel that
        /// all nodes read (default `false`). Every node listens to both channels.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options =
        ///     RedisAdapter::classic("redis://127.0.0.1").publish_on_specific_response_channel(true);
        /// ```
        publish_on_specific_response_channel: bool;
    }

    common!();

    /// Returns the command by which a program without a server publishes a message.
    pub(crate) fn publication(&self, message: &Message, limits: &ClusterLimits) -> Publication {
        let member = ClusterMember { nsp: message.nsp.clone(), uid: message.uid.clone() };
        Channels::new(&self.key, &member).publication(message, limits)
    }

    pub(crate) async fn join(
        &self,
        engine: &Arc<Engine>,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Arc<dyn Link>, AdapterError> {
        engine.start_node().await?;
        if engine.connector.is_cluster() {
            engine.start_keys().await?;
        }
        let channels = Channels::new(&self.key, &member);
        let topics = channels.topics(&Incoming { member, inbox, limits: engine.limits.clone() });
        let subscriptions = engine.subscribe(engine.number(), topics).await?;
        let specific = self.publish_on_specific_response_channel;
        Ok(Arc::new(ClassicLink { engine: engine.clone(), channels, specific, subscriptions }))
    }
}

struct Channels {
    broadcasts: String,
    requests: String,
    replies: String,
    own_replies: String,
}

impl Channels {
    fn new(key: &str, member: &ClusterMember) -> Self {
        let nsp = &member.nsp;
        let replies = format!("{key}-response#{nsp}#");
        Self {
            broadcasts: format!("{key}#{nsp}#"),
            requests: format!("{key}-request#{nsp}#"),
            own_replies: format!("{replies}{}#", member.uid),
            replies,
        }
    }

    fn publication(&self, message: &Message, limits: &ClusterLimits) -> Publication {
        let room = message.body.only_room().map(|room| format!("{}{room}#", self.broadcasts));
        let (channel, wire) = match message.body {
            Body::Broadcast { request: None, .. } => {
                (room.as_ref().unwrap_or(&self.broadcasts), Some(wire::broadcast(message)))
            }
            _ => (&self.requests, wire::request(message)),
        };
        wire.map(|wire| publish("PUBLISH", channel, &wire, limits)).transpose()
    }

    fn topics(&self, incoming: &Incoming) -> Vec<(Topic, OnMessage)> {
        let topic = |kind, name: String| Topic { kind, name: Bytes::from(name) };
        let (one, two, three) = (incoming.clone(), incoming.clone(), incoming.clone());
        let prefix = self.broadcasts.clone();
        let handle_reply: OnMessage = Arc::new(move |_, wire| three.handle_reply(&wire));
        vec![
            (
                topic(Kind::Pattern, pattern(&self.broadcasts)),
                // The pattern also matches the channels of other namespaces whose names begin with
                // this one.
                Arc::new(move |channel: &[u8], wire: Bytes| {
                    if channel.starts_with(prefix.as_bytes()) {
                        one.broadcast(&wire);
                    }
                }),
            ),
            (
                topic(Kind::Plain, self.requests.clone()),
                Arc::new(move |_, wire| two.handle_request(&wire)),
            ),
            (topic(Kind::Plain, self.replies.clone()), handle_reply.clone()),
            (topic(Kind::Plain, self.own_replies.clone()), handle_reply),
        ]
    }
}

/// Returns a pattern that matches everything that begins with `name`.
fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len() + 1);
    for character in name.chars() {
        if "*?[]\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

/// Processes received messages of one namespace.
#[derive(Clone)]
struct Incoming {
    member: ClusterMember,
    inbox: Arc<dyn Inbox>,
    limits: ClusterLimits,
}

impl Incoming {
    fn broadcast(&self, wire: &[u8]) {
        if wire::is_sent_by(wire, &self.member.uid) {
            return;
        }
        match wire::read_broadcast(wire, &self.limits) {
            Ok(message) if message.nsp != self.member.nsp || message.uid == self.member.uid => {}
            Ok(message) => self.inbox.receive(message, None),
            Err(error) => self.inbox.undecodable(&error),
        }
    }

    fn handle_request(&self, wire: &[u8]) {
        match wire::read_request(wire, &self.limits) {
            Ok((uid, _)) if uid == self.member.uid => {}
            Ok((uid, body)) => self.receive(uid, body),
            Err(error) => self.inbox.undecodable(&error),
        }
    }

    /// Handles a reply. The shared channel also carries replies to other nodes, which the state
    /// machine ignores by their request id.
    fn handle_reply(&self, wire: &[u8]) {
        match wire::read_reply(wire, &self.limits) {
            Ok(body) => body.into_iter().for_each(|body| self.receive(NodeId::default(), body)),
            Err(error) => self.inbox.undecodable(&error),
        }
    }

    fn receive(&self, uid: NodeId, body: Body) {
        self.inbox.receive(Message { uid, nsp: self.member.nsp.clone(), body, seq: None }, None);
    }
}

struct ClassicLink {
    engine: Arc<Engine>,
    channels: Channels,
    specific: bool,
    subscriptions: Subscriptions,
}

impl ClassicLink {
    fn publication(&self, message: &Message) -> Publication {
        self.channels.publication(message, &self.engine.limits)
    }

    async fn send(&self, channel: &str, wire: &[u8]) -> Result<(), AdapterError> {
        self.subscriptions.check()?;
        let publish = publish("PUBLISH", channel, wire, &self.engine.limits)?;
        self.engine.node.query(&publish).await.map(drop)
    }
}

impl Link for ClassicLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if let Some(publication) = self.publication(&message)? {
                self.subscriptions.check()?;
                self.engine.node.query(&publication).await?;
            }
            Ok(None)
        })
    }

    fn max_batch(&self) -> usize {
        self.engine.node.max_batch()
    }

    fn publish_all(&self, messages: Vec<Message>) -> BoxFuture<'_, Vec<Published>> {
        let publications = messages.iter().map(|message| self.publication(message)).collect();
        Box::pin(publish_all(&self.engine.node, &self.subscriptions, publications))
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            let Some(wire) = wire::reply(&message.body) else { return Ok(()) };
            // Node always sends responses to server-side events over the shared channel.
            let shared = matches!(message.body, Body::ServerSideEmitResponse { .. });
            if self.specific && !shared {
                return self.send(&format!("{}{to}#", self.channels.replies), &wire).await;
            }
            self.send(&self.channels.replies, &wire).await
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            let mut count = cmd("PUBSUB");
            count.arg("NUMSUB").arg(&self.channels.requests);
            Ok(self.engine.keys.sum_of_nodes(count, false).await?.max(1))
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.subscriptions.end() })
    }
}
