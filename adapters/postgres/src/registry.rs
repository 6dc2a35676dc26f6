//! The channels of a server, and the namespaces that receive from them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use socketio_adapter::{Inbox, Message, MessageError, Seat};
use tokio::sync::{Notify, oneshot};

use crate::{error::PostgresError, sync::lock};

/// The namespaces that have joined. The listener compares the channels here with its subscriptions.
#[derive(Default)]
pub(crate) struct Registry {
    channels: Mutex<HashMap<String, Vec<Member>>>,
    /// Notified when the set of channels may have changed.
    pub(crate) changed: Notify,
}

struct Member {
    seat: Seat,
    inbox: Arc<dyn Inbox>,
    /// Sent once the channel is subscribed to, or refused.
    waiting: Option<oneshot::Sender<Subscribed>>,
}

/// Whether PostgreSQL accepted the subscription to a channel.
pub(crate) type Subscribed = Result<(), Arc<PostgresError>>;

/// A namespace's membership in the registry, which ends when this is dropped.
pub(crate) struct Membership {
    registry: Arc<Registry>,
    channel: String,
    seat: Seat,
}

impl Registry {
    /// Adds a namespace. The returned receiver resolves when its channel is subscribed to.
    pub(crate) fn join(
        self: &Arc<Self>,
        channel: String,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> (Membership, oneshot::Receiver<Subscribed>) {
        let (sender, subscribed) = oneshot::channel();
        let member = Member { seat: seat.clone(), inbox, waiting: Some(sender) };
        self.channels().entry(channel.clone()).or_default().push(member);
        self.changed.notify_one();
        (Membership { registry: self.clone(), channel, seat }, subscribed)
    }

    /// Returns the channels to subscribe to.
    pub(crate) fn wanted(&self) -> HashSet<String> {
        self.channels().keys().cloned().collect()
    }

    /// Reports that these channels are subscribed to.
    pub(crate) fn mark_subscribed(&self, active: &HashSet<String>) {
        self.notify(active, &Ok(()));
    }

    /// Reports that this channel is refused. Returns whether a join waited for it.
    pub(crate) fn mark_refused(&self, channel: &str, error: &Arc<PostgresError>) -> bool {
        self.notify(&HashSet::from([channel.to_owned()]), &Err(error.clone())) > 0
    }

    /// Returns how many joins waited for these channels.
    fn notify(&self, channels: &HashSet<String>, subscribed: &Subscribed) -> usize {
        let waiting: Vec<_> = self
            .channels()
            .iter_mut()
            .filter(|(channel, _)| channels.contains(*channel))
            .flat_map(|(_, seats)| seats.iter_mut().filter_map(|seat| seat.waiting.take()))
            .collect();
        let count = waiting.len();
        for waiting in waiting {
            let _ = waiting.send(subscribed.clone());
        }
        count
    }

    /// Returns the receivers of a channel, except the sender `from`.
    pub(crate) fn receivers(&self, channel: &str, from: Option<&str>) -> Receivers {
        let channels = self.channels();
        let seats = channels.get(channel).into_iter().flatten();
        let others = seats.filter(|other| from != Some(other.seat.uid.as_str()));
        let found: Vec<_> = others.map(|it| (it.seat.clone(), it.inbox.clone())).collect();
        Receivers(found)
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<String, Vec<Member>>> {
        lock(&self.channels)
    }
}

/// The receivers of a message.
pub(crate) struct Receivers(Vec<(Seat, Arc<dyn Inbox>)>);

impl Receivers {
    /// Returns any of the seats. All belong to the same namespace.
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.0.first().map(|(seat, _)| seat)
    }

    pub(crate) fn deliver(&self, message: Result<Message, MessageError>) {
        for (seat, inbox) in &self.0 {
            match &message {
                Ok(message) if message.uid == seat.uid => {}
                Ok(message) => inbox.receive(message.clone(), None),
                Err(error) => inbox.garbage(error),
            }
        }
    }
}

impl Membership {
    /// Removes the namespace. Its inbox receives nothing further.
    pub(crate) fn leave(&self) {
        let left = {
            let mut channels = self.registry.channels();
            let seats = channels.get_mut(&self.channel);
            let left = seats.and_then(|seats| {
                let at = seats.iter().position(|other| other.seat == self.seat)?;
                Some(seats.swap_remove(at))
            });
            channels.retain(|_, seats| !seats.is_empty());
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
