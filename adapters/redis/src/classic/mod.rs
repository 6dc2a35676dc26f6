//! Plain pub/sub, as `createAdapter` of `@socket.io/redis-adapter`: a pattern per namespace for broadcasts, and channels for
//! requests and replies.

#[cfg(test)]
#[path = "../../tests/golden/mod.rs"]
mod golden;
mod wire;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use redis::{Cmd, cmd};
use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterLimits, Inbox, Link, Message, NodeId, Offset, Published,
    Seat,
};

use crate::{
    engine::{Engine, Subscribed, publish, publish_all},
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
        /// What names of channels begin with (default `socket.io`).
        key: String;
        /// Whether replies go to the channel of the node that asked, instead of one that all nodes listen to (default no).
        /// Every node listens to both.
        publish_on_specific_response_channel: bool;
    }

    common!();

    /// The command by which somebody who is no member publishes.
    pub(crate) fn publication(&self, message: &Message) -> Option<Cmd> {
        let seat = Seat { nsp: message.nsp.clone(), uid: message.uid.clone() };
        let channels = Channels::new(&self.key, &seat);
        let (channel, wire) = channels.publication(message)?;
        Some(publish("PUBLISH", channel.as_bytes(), &wire))
    }

    pub(crate) async fn join(
        &self,
        engine: &Arc<Engine>,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Arc<dyn Link>, AdapterError> {
        engine.start_node().await?;
        if engine.dial.is_cluster() {
            engine.start_keys().await?;
        }
        let channels = Channels::new(&self.key, &seat);
        let topics = channels.topics(&Arrivals { seat, inbox, limits: engine.limits.clone() });
        let subscribed = engine.subscribe(engine.number(), topics).await?;
        let specific = self.publish_on_specific_response_channel;
        Ok(Arc::new(ClassicLink { engine: engine.clone(), channels, specific, subscribed }))
    }
}

struct Channels {
    broadcasts: String,
    requests: String,
    replies: String,
    own_replies: String,
}

impl Channels {
    fn new(key: &str, seat: &Seat) -> Self {
        let nsp = &seat.nsp;
        let replies = format!("{key}-response#{nsp}#");
        Self {
            broadcasts: format!("{key}#{nsp}#"),
            requests: format!("{key}-request#{nsp}#"),
            own_replies: format!("{replies}{}#", seat.uid),
            replies,
        }
    }

    /// Where a message goes, and in which form; nothing for what this protocol does without.
    fn publication(&self, message: &Message) -> Option<(Cow<'_, str>, Bytes)> {
        if let Body::Broadcast { request: None, .. } = message.body {
            let channel = match message.body.only_room() {
                Some(room) => Cow::Owned(format!("{}{room}#", self.broadcasts)),
                None => Cow::Borrowed(&*self.broadcasts),
            };
            return Some((channel, wire::broadcast(message)));
        }
        Some((Cow::Borrowed(&self.requests), wire::request(message)?))
    }

    fn topics(&self, arrivals: &Arrivals) -> Vec<(Topic, OnMessage)> {
        let topic = |kind, name: String| Topic { kind, name: Bytes::from(name) };
        let (one, two, three) = (arrivals.clone(), arrivals.clone(), arrivals.clone());
        let prefix = self.broadcasts.clone();
        let replied: OnMessage = Arc::new(move |_, wire| three.replied(&wire));
        vec![
            (
                topic(Kind::Pattern, pattern(&self.broadcasts)),
                // The pattern of a namespace matches the channels of others too, whose names begin with its own.
                Arc::new(move |channel: &[u8], wire: Bytes| {
                    if channel.starts_with(prefix.as_bytes()) {
                        one.broadcast(&wire);
                    }
                }),
            ),
            (topic(Kind::Plain, self.requests.clone()), Arc::new(move |_, wire| two.asked(&wire))),
            (topic(Kind::Plain, self.replies.clone()), replied.clone()),
            (topic(Kind::Plain, self.own_replies.clone()), replied),
        ]
    }
}

/// Everything that begins with a name, whatever characters it has.
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

/// What arrives for one namespace.
#[derive(Clone)]
struct Arrivals {
    seat: Seat,
    inbox: Arc<dyn Inbox>,
    limits: ClusterLimits,
}

impl Arrivals {
    fn broadcast(&self, wire: &[u8]) {
        if wire::is_of(wire, &self.seat.uid) {
            return;
        }
        match wire::read_broadcast(wire, &self.limits) {
            Ok(message) if message.nsp != self.seat.nsp || message.uid == self.seat.uid => {}
            Ok(message) => self.inbox.receive(message, None),
            Err(error) => self.inbox.garbage(&error),
        }
    }

    fn asked(&self, wire: &[u8]) {
        match wire::read_request(wire, &self.limits) {
            Ok((uid, _)) if uid == self.seat.uid => {}
            Ok((uid, body)) => self.receive(uid, body),
            Err(error) => self.inbox.garbage(&error),
        }
    }

    /// Replies to other nodes as well, which the machine tells apart by their number.
    fn replied(&self, wire: &[u8]) {
        match wire::read_reply(wire, &self.limits) {
            Ok(body) => body.into_iter().for_each(|body| self.receive(NodeId::default(), body)),
            Err(error) => self.inbox.garbage(&error),
        }
    }

    fn receive(&self, uid: NodeId, body: Body) {
        self.inbox.receive(Message { uid, nsp: self.seat.nsp.clone(), body }, None);
    }
}

struct ClassicLink {
    engine: Arc<Engine>,
    channels: Channels,
    specific: bool,
    subscribed: Subscribed,
}

impl ClassicLink {
    fn publication(&self, message: &Message) -> Option<Cmd> {
        let (channel, wire) = self.channels.publication(message)?;
        Some(publish("PUBLISH", channel.as_bytes(), &wire))
    }

    async fn send(&self, channel: &str, wire: &[u8]) -> Result<(), AdapterError> {
        self.subscribed.check()?;
        let publish = publish("PUBLISH", channel.as_bytes(), wire);
        self.engine.node.query(&publish).await.map(drop)
    }
}

impl Link for ClassicLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if let Some(publication) = self.publication(&message) {
                self.subscribed.check()?;
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
        Box::pin(publish_all(&self.engine.node, &self.subscribed, publications))
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            let Some(wire) = wire::reply(&message.body) else { return Ok(()) };
            // Node answers server-side events on the shared channel, whatever is said.
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
            Ok(self.engine.keys.sum(count, false).await?.max(1))
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.subscribed.end() })
    }
}
