//! The traits of a back-end. A back-end carries messages between nodes and does not know sockets.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use socketio_parser::Nsp;

use crate::{
    error::{AdapterError, MessageError},
    message::{Message, NodeId},
    recovery::{Offset, SessionStore},
    selection::Room,
};

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A back-end: Redis, PostgreSQL, MongoDB, NATS, or [servers of the same
/// process](crate::MemoryAdapter). One adapter serves all namespaces of a server.
///
/// The server creates one [`Link`] per namespace. [`Cluster`](crate::Cluster) handles requests,
/// replies, peers and deadlines in the same way for every back-end. The back-end translates each
/// [`Message`] into the protocol of its engine, reconnects, and subscribes again after
/// reconnecting.
pub trait ClusterAdapter: fmt::Debug + Send + Sync {
    /// Returns how the nodes of this back-end learn of each other.
    fn discovery(&self) -> Discovery;

    /// Returns whether the engine keeps a log, so that every link has a
    /// [`SessionStore`](Link::sessions) (default `false`). If so, a server that recovers sessions
    /// first publishes an event, and delivers it when the link returns it.
    fn keeps_log(&self) -> bool {
        false
    }

    /// Joins the cluster of one namespace. Resolves when the subscriptions are active. From then
    /// on, `inbox` receives every message that another node publishes, in the order in which that
    /// node published it. It does not receive the node's own messages, except those in a log.
    ///
    /// Messages in a log are delivered in the order of the log, one after another, with their
    /// offsets. They include the broadcasts of all nodes, *also those of this node*. This node
    /// recognizes its own by its uid and their [number](Message::seq), and may not need their
    /// content ([`Inbox::receive_own`]). Entries from before the join
    /// are not delivered. Entries that are appended while the engine cannot be reached are
    /// delivered afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine cannot be reached or denies access. The server retries one
    /// second later. After [`AdapterError::Denied`], its pauses double up to a minute.
    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>>;
}

/// One node in the cluster of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterMember {
    /// The namespace.
    pub nsp: Nsp,
    /// The name of the node. It is used once: a namespace that is closed and opened again gets
    /// another name.
    pub uid: NodeId,
}

/// How nodes learn of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// By the heartbeats that they publish. A node that is silent for too long counts as gone, and
    /// requests no longer wait for it.
    Heartbeats(Heartbeats),
    /// By a count from the engine, on request ([`Link::count`]). A request waits for a silent node
    /// until the deadline.
    Count,
}

/// The timing of heartbeats. Both count as at least 1 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// How often this node publishes a heartbeat (default 5 s).
    pub interval: Duration,
    /// How long a node without a heartbeat counts as alive (default 10 s). This is checked once per
    /// second, or more often if the timeout is shorter.
    pub timeout: Duration,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(10) }
    }
}

/// The rooms that a back-end needs to know about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomInterest {
    /// No rooms. Every node gets every message.
    #[default]
    None,
    /// Rooms that sockets have joined.
    Joined,
    /// Rooms that sockets have joined, including the room of each socket's own id.
    All,
}

/// The result of publishing a message. Contains its offset if it was appended to a log.
pub type Published = Result<Option<Offset>, AdapterError>;

/// One namespace's connection to the cluster.
///
/// The server calls [`publish`](Self::publish) and [`reply`](Self::reply) for one message at a time
/// and awaits each call, so messages leave in order. If the back-end [supports
/// batches](Self::max_batch), the server passes several messages to
/// [`publish_all`](Self::publish_all). A back-end whose engine has no offsets may resolve as soon
/// as it has put a message into an ordered queue of its own. While a call does not resolve, the
/// server's bounded queue fills until callers get an error.
pub trait Link: Send + Sync {
    /// Publishes a message to all other nodes of the namespace. A plain broadcast to [one
    /// room](crate::Body::only_room) may be sent only to the nodes that have the room. If the
    /// message was appended to a log, returns its offset; the inbox of this node then receives it
    /// too, before or after this call resolves.
    ///
    /// # Errors
    ///
    /// On an error, the message is lost for the other nodes. The server logs and counts this, and
    /// does not retry.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>>;

    /// Returns how many messages [`publish_all`](Self::publish_all) accepts (default 1, in which
    /// case it is not called).
    fn max_batch(&self) -> usize {
        1
    }

    /// Publishes several messages in order. Returns the result of each. With an engine across a
    /// network, a batch costs little more than one message. The server never passes replies here,
    /// nor events that it delivers only when the log returns them. The default implementation
    /// publishes one message after another.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    fn publish_all(&self, messages: Vec<Message>) -> BoxFuture<'_, Vec<Published>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(messages.len());
            for message in messages {
                results.push(self.publish(message).await);
            }
            results
        })
    }

    /// Sends a reply to the node that sent the request. The default implementation publishes it to
    /// all nodes, for engines without an address per node. Nodes that did not send the request
    /// ignore it.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        let _ = to;
        Box::pin(async move { self.publish(message).await.map(drop) })
    }

    /// Returns the number of nodes in the namespace, including this one. Called before each request
    /// with [`Discovery::Count`], otherwise never.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed. The request then fails as well.
    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>>;

    /// Returns which rooms are reported to [`room_appeared`](Self::room_appeared) and
    /// [`room_vanished`](Self::room_vanished).
    fn interest(&self) -> RoomInterest {
        RoomInterest::None
    }

    /// Reports that the first socket of this node has joined a room. The calls are sequential and
    /// in order. Rooms that exist only briefly may not be reported. The method must not block: a
    /// back-end records the room, and subscribes later.
    fn room_appeared(&self, room: &Room) {
        let _ = room;
    }

    /// Reports that the last socket of this node has left a room.
    fn room_vanished(&self, room: &Room) {
        let _ = room;
    }

    /// Returns the store of sessions that all nodes can restore, if the adapter [keeps a
    /// log](ClusterAdapter::keeps_log).
    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        None
    }

    /// Leaves the cluster. The subscriptions end, and the inbox receives nothing further. Called
    /// once, after all waiting messages have been published.
    fn leave(&self) -> BoxFuture<'_, ()>;
}

/// Receives the messages that arrive at a back-end. The methods neither block nor wait.
pub trait Inbox: Send + Sync {
    /// Receives a message of another node, with its offset if it is in the engine's log. Messages
    /// from a log may also be the node's own.
    fn receive(&self, message: Message, offset: Option<Offset>);

    /// Receives an event of this node from the engine's log, by its [number](Message::seq), without
    /// its content. Returns false if the node needs the content: the back-end then decodes the event
    /// and passes it to [`receive`](Self::receive). A back-end that cannot find the number without
    /// decoding need not call this.
    fn receive_own(&self, number: u64, offset: &Offset) -> bool {
        let _ = (number, offset);
        false
    }

    /// Reports malformed data. The server counts and drops it.
    fn undecodable(&self, error: &MessageError);
}
