//! The channels of a server, and the namespaces that receive from them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use socketio_adapter::{
    ClusterMember, Inbox, Message, MessageError,
    internal::{is_event, lock},
};
use socketio_parser::Nsp;
use tokio::sync::{Notify, oneshot};

use crate::error::PostgresError;

/// The namespaces that have joined. The listener compares the channels here with its subscriptions.
#[derive(Default)]
pub(crate) struct Registry {
    channels: Mutex<HashMap<String, Channel>>,
    /// Notified when the set of channels may have changed.
    pub(crate) changed: Notify,
}

/// A channel, which belongs to one namespace.
#[derive(Default)]
struct Channel {
    members: Vec<Member>,
    /// The last entry of the log that was delivered. `None` until the log was first read.
    position: Option<i64>,
    /// Whether the current connection listens to the channel.
    subscribed: bool,
    /// Whether the entries from before the subscription have been read.
    caught_up: bool,
}

struct Member {
    node: ClusterMember,
    inbox: Arc<dyn Inbox>,
    /// The last entry of the log before the namespace joined.
    after: i64,
    /// Sent once the channel is subscribed to, or refused.
    waiting: Option<oneshot::Sender<Subscribed>>,
}

/// Whether PostgreSQL accepted the subscription to a channel.
pub(crate) type Subscribed = Result<(), Arc<PostgresError>>;

/// A namespace's membership in the registry, which ends when this is dropped.
pub(crate) struct Membership {
    registry: Arc<Registry>,
    channel: String,
    node: ClusterMember,
}

/// A channel whose log must be read before its notifications.
pub(crate) struct Lagging {
    pub(crate) channel: String,
    pub(crate) node: ClusterMember,
    /// The last entry that was delivered, if entries after it may be missing.
    pub(crate) missing_after: Option<i64>,
}

impl Registry {
    /// Adds a namespace. The returned receiver resolves when its channel is subscribed to.
    pub(crate) fn join(
        self: &Arc<Self>,
        channel: String,
        node: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> (Membership, oneshot::Receiver<Subscribed>) {
        let (sender, subscribed) = oneshot::channel();
        let member = Member { node: node.clone(), inbox, after: i64::MAX, waiting: Some(sender) };
        lock(&self.channels).entry(channel.clone()).or_default().members.push(member);
        self.changed.notify_one();
        (Membership { registry: self.clone(), channel, node }, subscribed)
    }

    /// Returns the channels to subscribe to.
    pub(crate) fn wanted(&self) -> HashSet<String> {
        lock(&self.channels).keys().cloned().collect()
    }

    /// Reports that a new connection subscribes to no channel yet.
    pub(crate) fn mark_disconnected(&self) {
        for channel in lock(&self.channels).values_mut() {
            (channel.subscribed, channel.caught_up) = (false, false);
        }
    }

    /// Reports that exactly these channels are subscribed to.
    pub(crate) fn mark_subscribed(&self, active: &HashSet<String>) {
        for (name, channel) in &mut *lock(&self.channels) {
            channel.subscribed = active.contains(name);
        }
    }

    /// Reports that this channel is refused. Returns whether a join waited for it.
    pub(crate) fn mark_refused(&self, channel: &str, error: &Arc<PostgresError>) -> bool {
        let waiting = self.take_waiting(|name, _| name == channel);
        let joins = !waiting.is_empty();
        for waiting in waiting {
            let _ = waiting.send(Err(error.clone()));
        }
        joins
    }

    /// Completes the joins of all subscribed channels, without a log.
    pub(crate) fn admit(&self) {
        for waiting in self.take_waiting(|_, channel| channel.subscribed) {
            let _ = waiting.send(Ok(()));
        }
    }

    /// Reports that a notification arrived on this channel, which is therefore subscribed to.
    /// Returns whether the log must be read first.
    pub(crate) fn is_behind(&self, channel: &str) -> bool {
        let mut channels = lock(&self.channels);
        let Some(channel) = channels.get_mut(channel) else { return false };
        channel.subscribed = true;
        !channel.caught_up
    }

    /// Returns the subscribed channels whose log must be read.
    pub(crate) fn lagging(&self) -> Vec<Lagging> {
        let channels = lock(&self.channels);
        let lagging = channels.iter().filter_map(|(name, channel)| {
            let joining = channel.members.iter().any(|member| member.waiting.is_some());
            let node = channel.members.first()?.node.clone();
            let missing_after = channel.position.filter(|_| !channel.caught_up);
            (channel.subscribed && (joining || !channel.caught_up)).then(|| Lagging {
                channel: name.clone(),
                node,
                missing_after,
            })
        });
        lagging.collect()
    }

    /// Reports that the log of a channel has been read, and where it ends now. Completes the joins
    /// of the channel.
    pub(crate) fn mark_caught_up(&self, channel: &str, end: i64) {
        let mut waiting = Vec::new();
        if let Some(channel) = lock(&self.channels).get_mut(channel) {
            // A database that lost its last transactions continues with smaller numbers.
            channel.position = Some(channel.position.map_or(end, |position| position.min(end)));
            channel.caught_up = true;
            for member in &mut channel.members {
                if let Some(sender) = member.waiting.take() {
                    member.after = end;
                    waiting.push(sender);
                }
            }
        }
        for waiting in waiting {
            let _ = waiting.send(Ok(()));
        }
    }

    /// Reports that an entry of the log is about to be delivered. Returns false if it has been
    /// delivered before, or if it is from before the join.
    pub(crate) fn advance(&self, channel: &str, id: i64) -> bool {
        let mut channels = lock(&self.channels);
        let position = channels.get_mut(channel).and_then(|channel| channel.position.as_mut());
        let Some(position) = position.filter(|position| **position < id) else { return false };
        *position = id;
        true
    }

    /// Returns the receivers of a channel, except the sender `from`.
    pub(crate) fn receivers(&self, channel: &str, from: Option<&str>) -> Receivers {
        let channels = lock(&self.channels);
        let members = channels.get(channel).into_iter().flat_map(|channel| &channel.members);
        let others = members.filter(|other| from != Some(other.node.uid.as_str()));
        let found = others.map(|it| (it.node.clone(), it.inbox.clone(), it.after));
        Receivers(found.collect())
    }

    fn take_waiting(
        &self,
        of: impl Fn(&str, &Channel) -> bool,
    ) -> Vec<oneshot::Sender<Subscribed>> {
        let mut channels = lock(&self.channels);
        let channels = channels.iter_mut().filter(|(name, channel)| of(name, channel));
        let members = channels.flat_map(|(_, channel)| &mut channel.members);
        members.filter_map(|member| member.waiting.take()).collect()
    }
}

/// The receivers of a message, each with the last entry before it joined.
pub(crate) struct Receivers(Vec<(ClusterMember, Arc<dyn Inbox>, i64)>);

impl Receivers {
    /// Returns any of the nodes. All belong to the same namespace.
    pub(crate) fn node(&self) -> Option<&ClusterMember> {
        self.0.first().map(|(node, ..)| node)
    }

    /// Lets the only receiver take an event of its own from the log without decoding it.
    pub(crate) fn take_own(&self, json: &[u8], offset: Option<i64>) -> bool {
        let ([(node, inbox, after)], Some(offset)) = (&self.0[..], offset) else { return false };
        offset > *after
            && Message::own_event(json, node)
                .is_some_and(|number| inbox.receive_own(number, &offset.to_string().into()))
    }

    /// Delivers a message, with its offset if it is in the log.
    pub(crate) fn deliver(&self, message: Result<Message, MessageError>, offset: Option<i64>) {
        for (node, inbox, after) in &self.0 {
            if offset.is_some_and(|offset| offset <= *after) {
                continue;
            }
            match &message {
                // A node gets its own events from the log. It has already executed its requests.
                Ok(message)
                    if message.uid == node.uid
                        && (offset.is_none() || !is_event(&message.body)) => {}
                Ok(message) => {
                    inbox.receive(message.clone(), offset.map(|offset| offset.to_string().into()));
                }
                Err(error) => inbox.undecodable(error),
            }
        }
    }
}

impl Membership {
    pub(crate) fn nsp(&self) -> &Nsp {
        &self.node.nsp
    }

    /// Removes the namespace. Its inbox receives nothing further.
    pub(crate) fn leave(&self) {
        let left = {
            let mut channels = lock(&self.registry.channels);
            let members = channels.get_mut(&self.channel).map(|channel| &mut channel.members);
            let left = members.and_then(|members| {
                let at = members.iter().position(|other| other.node == self.node)?;
                Some(members.swap_remove(at))
            });
            channels.retain(|_, channel| !channel.members.is_empty());
            left
        };
        drop(left);
        self.registry.changed.notify_one();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}
