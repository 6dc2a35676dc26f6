//! Which channels there are, and who hears what comes in them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socketio_adapter::{Inbox, Message, MessageError, Seat};
use tokio::sync::{Notify, oneshot};

/// The seats of a server. Subscriptions follow it: what is wanted is compared with what there is.
#[derive(Default)]
pub(crate) struct Registry {
    channels: Mutex<HashMap<String, Vec<Occupied>>>,
    /// The channels are others than before.
    pub(crate) changed: Notify,
}

struct Occupied {
    seat: Seat,
    inbox: Arc<dyn Inbox>,
    /// Told once the channel is listened to.
    waiting: Option<oneshot::Sender<()>>,
}

/// A seat that is taken. It is given up with this value.
pub(crate) struct Seated {
    registry: Arc<Registry>,
    channel: String,
    seat: Seat,
}

impl Registry {
    /// Takes a seat, and tells when its channel is listened to.
    pub(crate) fn sit(
        self: &Arc<Self>,
        channel: String,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> (Seated, oneshot::Receiver<()>) {
        let (sender, listened) = oneshot::channel();
        let occupied = Occupied { seat: seat.clone(), inbox, waiting: Some(sender) };
        self.channels().entry(channel.clone()).or_default().push(occupied);
        self.changed.notify_one();
        (Seated { registry: self.clone(), channel, seat }, listened)
    }

    /// The channels that are to be listened to.
    pub(crate) fn wanted(&self) -> HashSet<String> {
        self.channels().keys().cloned().collect()
    }

    /// These are listened to.
    pub(crate) fn listened(&self, active: &HashSet<String>) {
        let told: Vec<_> = self
            .channels()
            .iter_mut()
            .filter(|(channel, _)| active.contains(*channel))
            .flat_map(|(_, seats)| seats.iter_mut().filter_map(|seat| seat.waiting.take()))
            .collect();
        for waiting in told {
            let _ = waiting.send(());
        }
    }

    /// The seats that hear of what `from` says in a channel: all but its own.
    pub(crate) fn hearers(&self, channel: &str, from: Option<&str>) -> Hearers {
        let channels = self.channels();
        let seats = channels.get(channel).into_iter().flatten();
        let others = seats.filter(|other| from != Some(other.seat.uid.as_str()));
        let found: Vec<_> = others.map(|it| (it.seat.clone(), it.inbox.clone())).collect();
        Hearers(found)
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<String, Vec<Occupied>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who hears a message.
pub(crate) struct Hearers(Vec<(Seat, Arc<dyn Inbox>)>);

impl Hearers {
    /// One of them: all are of one namespace.
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.0.first().map(|(seat, _)| seat)
    }

    pub(crate) fn tell(&self, message: Result<Message, MessageError>) {
        for (seat, inbox) in &self.0 {
            match &message {
                Ok(message) if message.uid == seat.uid => {}
                Ok(message) => inbox.receive(message.clone(), None),
                Err(error) => inbox.garbage(error),
            }
        }
    }
}

impl Seated {
    /// Gives the seat up: nothing is put into its inbox any more.
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

impl Drop for Seated {
    fn drop(&mut self) {
        self.leave();
    }
}
