//! Sharded pub/sub, like `createShardedAdapter` of `@socket.io/redis-adapter`: a channel per
//! namespace, per node, and per room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use redis::{Cmd, cmd};
use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterLimits, ClusterMember, Inbox, Link, Message,
    MessageError, NodeId, Offset, Published, Room, RoomInterest, internal::lock,
};

use crate::{
    engine::{Engine, Subscriptions, publish, publish_all},
    nodes::Nodes,
    options::{Common, common, options},
    subscriber::{Kind, OnMessage, Topic},
};

/// Selects the rooms that have a channel of their own. Must be the same on all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionMode {
    /// No room has a channel. Every node gets all messages of its namespaces. Needs two
    /// subscriptions per namespace.
    Static,
    /// Rooms that sockets have joined have a channel, except the rooms of the sockets' own ids. The
    /// first socket of a room on a node misses broadcasts of other nodes until Redis has confirmed the
    /// subscription, one round trip after the join.
    #[default]
    Dynamic,
    /// All rooms have a channel, including those of the sockets' own ids.
    DynamicPrivate,
}

/// Options of [`RedisAdapter::sharded`](crate::RedisAdapter::sharded).
#[derive(Clone, Debug)]
#[must_use]
pub struct Sharded {
    pub(crate) nodes: Nodes,
    pub(crate) common: Common,
    channel_prefix: String,
    subscription_mode: SubscriptionMode,
}

impl Sharded {
    pub(crate) fn new(nodes: Nodes) -> Self {
        Self {
            nodes,
            common: Common::default(),
            channel_prefix: String::from("socket.io"),
            subscription_mode: SubscriptionMode::default(),
        }
    }

    options! {
        /// Sets the prefix of channels (default `socket.io`).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::sharded("redis://127.0.0.1").channel_prefix("chat");
        /// ```
        channel_prefix: String;
        /// Sets which rooms have a channel of their own (default [`SubscriptionMode::Dynamic`]).
        ///
        /// ```
        /// use socketio_adapter_redis::{RedisAdapter, SubscriptionMode};
        ///
        /// let options =
        ///     RedisAdapter::sharded("redis://127.0.0.1").subscription_mode(SubscriptionMode::Static);
        /// ```
        subscription_mode: SubscriptionMode;
    }

    common!();

    /// Returns the command by which a program without a server publishes a message.
    pub(crate) fn publication(
        &self,
        message: &Message,
        limits: &ClusterLimits,
    ) -> Result<Cmd, MessageError> {
        let public = format!("{}#{}#", self.channel_prefix, message.nsp);
        let channel = self.subscription_mode.channel(&public, &message.body);
        publish("SPUBLISH", &channel, &message.encode(), limits)
    }

    pub(crate) async fn join(
        &self,
        engine: &Arc<Engine>,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Arc<dyn Link>, AdapterError> {
        engine.start_keys().await?;
        let public = format!("{}#{}#", self.channel_prefix, member.nsp);
        let private = format!("{public}{}#", member.uid);
        let number = engine.number();
        let on_message = on_message(&member, inbox, engine.limits.clone());
        let topics = [&public, &private].map(|name| (sharded(name), on_message.clone()));
        let subscriptions = engine.subscribe(number, topics.into()).await?;
        Ok(Arc::new(ShardedLink {
            engine: engine.clone(),
            public,
            number,
            mode: self.subscription_mode,
            on_message,
            rooms: Mutex::default(),
            subscriptions,
        }))
    }
}

fn sharded(name: &str) -> Topic {
    Topic { kind: Kind::Sharded, name: Bytes::copy_from_slice(name.as_bytes()) }
}

/// Returns a callback that delivers messages to the inbox, except the node's own.
pub(crate) fn on_message(
    member: &ClusterMember,
    inbox: Arc<dyn Inbox>,
    limits: ClusterLimits,
) -> OnMessage {
    let (uid, nsp) = (member.uid.clone(), member.nsp.clone());
    // Up to 8.2 Node's adapter leaves the namespace to the channel.
    Arc::new(move |_, wire| match Message::decode_in(&wire, &nsp, &limits) {
        Ok(message) if message.uid == uid => {}
        Ok(message) => inbox.receive(message, None),
        Err(error) => inbox.undecodable(&error),
    })
}

struct ShardedLink {
    engine: Arc<Engine>,
    public: String,
    number: u64,
    mode: SubscriptionMode,
    on_message: OnMessage,
    rooms: Mutex<HashMap<Room, Topic>>,
    subscriptions: Subscriptions,
}

impl ShardedLink {
    fn room_channel(&self, room: &Room) -> String {
        format!("{}{room}#", self.public)
    }

    fn publication(&self, channel: &str, message: &Message) -> Result<Cmd, MessageError> {
        publish("SPUBLISH", channel, &message.encode(), &self.engine.limits)
    }

    async fn send(&self, channel: &str, message: &Message) -> Result<(), AdapterError> {
        self.subscriptions.check()?;
        self.engine.keys.query(&self.publication(channel, message)?).await.map(drop)
    }
}

impl SubscriptionMode {
    /// Returns the channel of a message.
    fn channel(self, public: &str, body: &Body) -> String {
        let room = body.only_room().filter(|room| self.has_channel(room));
        room.map_or_else(|| public.to_owned(), |room| format!("{public}{room}#"))
    }

    /// Returns whether a room has a channel. In the dynamic mode, Node's publishers take any name
    /// of 20 characters for a socket id, so subscribers must do the same.
    fn has_channel(self, room: &Room) -> bool {
        match self {
            Self::Static => false,
            Self::Dynamic => room.encode_utf16().count() != 20,
            Self::DynamicPrivate => true,
        }
    }
}

impl Link for ShardedLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.send(&self.mode.channel(&self.public, &message.body), &message).await?;
            Ok(None)
        })
    }

    fn max_batch(&self) -> usize {
        self.engine.keys.max_batch()
    }

    fn publish_all(&self, messages: Vec<Message>) -> BoxFuture<'_, Vec<Published>> {
        let publication = |message: &Message| {
            let channel = self.mode.channel(&self.public, &message.body);
            self.publication(&channel, message).map(Some)
        };
        let publications = messages.iter().map(publication).collect();
        Box::pin(publish_all(&self.engine.keys, &self.subscriptions, publications))
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move { self.send(&format!("{}{to}#", self.public), &message).await })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            let mut count = cmd("PUBSUB");
            count.arg("SHARDNUMSUB").arg(&self.public);
            Ok(self.engine.keys.sum_of_nodes(count, true).await?.max(1))
        })
    }

    /// In the dynamic mode, ids that do not have 20 characters also need a channel.
    fn interest(&self) -> RoomInterest {
        match self.mode {
            SubscriptionMode::Static => RoomInterest::None,
            SubscriptionMode::Dynamic | SubscriptionMode::DynamicPrivate => RoomInterest::All,
        }
    }

    fn room_appeared(&self, room: &Room) {
        if self.mode.has_channel(room) {
            let topic = sharded(&self.room_channel(room));
            if lock(&self.rooms).insert(room.clone(), topic.clone()).is_none() {
                self.engine.sharded.add(topic, self.number, self.on_message.clone());
            }
        }
    }

    fn room_vanished(&self, room: &Room) {
        let topic = lock(&self.rooms).remove(room);
        if let Some(topic) = topic {
            self.engine.sharded.remove(topic, self.number);
        }
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.end() })
    }
}

impl ShardedLink {
    fn end(&self) {
        let rooms = std::mem::take(&mut *lock(&self.rooms));
        for topic in rooms.into_values() {
            self.engine.sharded.remove(topic, self.number);
        }
        self.subscriptions.end();
    }
}

impl Drop for ShardedLink {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_as_long_as_an_id_has_no_channel_in_the_dynamic_mode() {
        use SubscriptionMode::{Dynamic, DynamicPrivate, Static};

        for (mode, name, expected) in [
            (Static, "r", false),
            (Dynamic, "r", true),
            (Dynamic, "abcdefghijklmnopqrst", false),
            (Dynamic, "äbcdefghijklmnopqrst", false),
            (Dynamic, "😀bcdefghijklmnopqrst", true),
            (DynamicPrivate, "abcdefghijklmnopqrst", true),
        ] {
            assert_eq!(mode.has_channel(&name.into()), expected, "{mode:?} {name}");
        }
    }
}
