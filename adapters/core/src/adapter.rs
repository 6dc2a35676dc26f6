//! What a back-end is to the server: something that carries messages between nodes, and knows nothing of sockets.

use std::{fmt, sync::Arc, time::Duration};

use socketio_parser::Nsp;

use crate::{
    error::{AdapterError, MessageError},
    future::BoxFuture,
    message::{Message, NodeId},
    recovery::{Offset, SessionStore},
    selection::Room,
};

/// A back-end: Redis, Postgres, NATS, or [another server of the same process](crate::MemoryAdapter). One serves all
/// namespaces of a server.
///
/// The server makes one [`Link`] per namespace. Requests, replies, peers and deadlines are the affair of
/// [`Cluster`](crate::Cluster), which is the same for every back-end; translating a [`Message`] into an engine's own protocol,
/// reconnecting, and subscribing again after a reconnection are the back-end's.
pub trait ClusterAdapter: fmt::Debug + Send + Sync {
    /// How the nodes of this back-end know of each other.
    fn discovery(&self) -> Discovery;

    /// Whether the engine keeps a log, of which every link has a [`SessionStore`](Link::sessions) (default no). A server
    /// that recovers sessions then publishes an event first, and delivers it where the link gives it back.
    fn keeps_log(&self) -> bool {
        false
    }

    /// Joins the cluster of one namespace. Resolves when the subscriptions are active: from then on, every message that
    /// another node publishes is given to `inbox`, in the order in which that node published it. Messages of the node
    /// itself are not, but for what is in a log.
    ///
    /// What is in a log is given to the inbox in the log's order, one after the other, with its offset: the broadcasts
    /// of all nodes, *those of this node among them*, which it recognises by its name. What stands in the log before the node
    /// joined is not given to it; what is added while the engine cannot be reached is, afterwards.
    ///
    /// # Errors
    ///
    /// The engine cannot be reached. The server tries again, a second later.
    fn join(
        &self,
        node: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>>;
}

/// One node in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The namespace.
    pub nsp: Nsp,
    /// The node, under a name that is used once: a namespace that is closed and opened again has another.
    pub uid: NodeId,
}

/// How nodes know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// By heartbeats that they publish. Who is silent for too long is gone, and no longer waited for.
    Heartbeats(Heartbeats),
    /// The engine counts them, on request ([`Link::count`]). Who fails to answer is waited for until the deadline.
    Count,
}

/// How often nodes say that they are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// How often this node publishes one (default 5 s).
    pub interval: Duration,
    /// How long another node may be silent (default 10 s). Looked at once a second, or more often where this is short.
    pub timeout: Duration,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(10) }
    }
}

/// Which rooms a back-end wants to be told about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomInterest {
    /// None: every node gets every message.
    #[default]
    None,
    /// Those that sockets have joined.
    Joined,
    /// These, and the one of each socket's own id.
    All,
}

/// What became of a message: where it stands, if it is in a log.
pub type Published = Result<Option<Offset>, AdapterError>;

/// One namespace's connection to the cluster.
///
/// The server calls [`publish`](Self::publish) and [`reply`](Self::reply) for one message after the other and waits for
/// each, so that they leave in order; or for several at once, where the back-end [takes them](Self::max_batch). A back-end whose engine gives no offset may resolve as soon as it has taken a message
/// into an ordered pipe of its own; what does not resolve makes the server's bounded queue fill, until callers are told.
pub trait Link: Send + Sync {
    /// Publishes a message to all other nodes of the namespace. A plain broadcast to [one room](crate::Body::only_room) may
    /// go to those nodes alone that have it. Where it was appended to a log, its offset is returned, and it is given to the
    /// inbox of this node too: before or after this resolves.
    ///
    /// # Errors
    ///
    /// The message is lost for the other nodes. It is logged and counted; nobody tries again.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>>;

    /// How many messages [`publish_all`](Self::publish_all) takes (default 1: it is not called).
    fn max_batch(&self) -> usize {
        1
    }

    /// Publishes the messages that wait, in their order, and gives the result of each. Where an engine is asked and answers over
    /// a network, several in one go cost little more than one. The server never has replies, nor events that it delivers
    /// where the log gives them back, among them. Unless it is overridden, one is published after the other.
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

    /// Sends a reply to the node that asked. A back-end without an address per node publishes it to all: those that did
    /// not ask ignore it, which is what this does unless it is overridden.
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

    /// How many nodes the namespace has, this one included. Asked before each request where
    /// [`Discovery::Count`] is in force, and never otherwise.
    ///
    /// # Errors
    ///
    /// The engine failed; the request then fails as well.
    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>>;

    /// Which rooms [`room_appeared`](Self::room_appeared) and [`room_vanished`](Self::room_vanished) are about.
    fn interest(&self) -> RoomInterest {
        RoomInterest::None
    }

    /// The first socket of this node is in a room. The calls come one after the other, in order; a room that came and went
    /// meanwhile is not mentioned. They must not block: a back-end notes what to subscribe to, and does it.
    fn room_appeared(&self, room: &Room) {
        let _ = room;
    }

    /// The last socket of this node has left a room.
    fn room_vanished(&self, room: &Room) {
        let _ = room;
    }

    /// The sessions of this namespace that all nodes can restore, where the adapter [keeps a
    /// log](ClusterAdapter::keeps_log).
    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        None
    }

    /// Leaves the cluster: subscriptions end, and nothing more is given to the inbox. Called once, after everything that
    /// waited was published.
    fn leave(&self) -> BoxFuture<'_, ()>;
}

/// Where a back-end puts what arrives. Neither method blocks or waits.
pub trait Inbox: Send + Sync {
    /// A message from another node, and where it stands in the engine's log, if it is in one. From a log, also a message of
    /// the node itself.
    fn receive(&self, message: Message, offset: Option<Offset>);

    /// Something arrived that is no message. It is counted and forgotten.
    fn garbage(&self, error: &MessageError);
}
