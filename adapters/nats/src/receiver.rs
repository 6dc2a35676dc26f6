//! The task of a namespace: subscribes to what its rooms need, and hands on what comes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use socketio_adapter::{Message, Room};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    config::NatsConfig,
    error::NatsError,
    frame::Frame,
    membership::Membership,
    order::Order,
    publisher::Publisher,
    subject::Subjects,
    subscriptions::{Ended, Key, Subscriptions},
};

/// When a node writes to itself again, where that did not arrive.
const REMIND: Duration = Duration::from_secs(1);

pub(crate) struct Receiver {
    pub(crate) config: NatsConfig,
    pub(crate) publisher: Publisher,
    pub(crate) subjects: Subjects,
    pub(crate) membership: Arc<Membership>,
}

struct State {
    subscriptions: Subscriptions,
    order: Order,
    rooms: HashMap<Room, Key>,
    /// Rooms that were subscribed to, and are not known to be active.
    new_rooms: Vec<Room>,
    /// Whether a message to ourselves is under way, and whom it concerns.
    reminded: Option<Vec<Room>>,
    joined: Option<oneshot::Sender<()>>,
}

impl Receiver {
    /// Runs until the client ends; `joined` is told when the first subscriptions are active. Without tokio's budget, as
    /// [`Subscriptions::look`] wants it; it gives way by itself.
    pub(crate) async fn run(self, joined: oneshot::Sender<()>) {
        let result = tokio::task::unconstrained(self.stay(joined)).await;
        if let Err(error) = result {
            tracing::warn!(target: "socketio::cluster", %error, "the subscriptions have ended");
        }
    }

    async fn stay(&self, joined: oneshot::Sender<()>) -> Result<(), NatsError> {
        let mut state = State {
            subscriptions: Subscriptions::new(self.membership.woken.clone()),
            order: Order::default(),
            rooms: HashMap::new(),
            new_rooms: Vec::new(),
            reminded: None,
            joined: Some(joined),
        };
        let own = self.subjects.node(&self.membership.seat.uid)?;
        for subject in [self.subjects.all(), own.clone()] {
            self.subscribe(&mut state, subject).await?;
        }
        let mut remind = Instant::now();
        loop {
            self.follow_rooms(&mut state).await?;
            if state.reminded.is_none() && (state.joined.is_some() || !state.new_rooms.is_empty()) {
                state.reminded = Some(std::mem::take(&mut state.new_rooms));
                remind = Instant::now();
            }
            // Looked at whatever else goes on: there may never be a quiet moment.
            if state.reminded.is_some() && remind <= Instant::now() {
                let _ = self.publisher.remind(own.clone(), &self.membership.seat.uid).await;
                remind = Instant::now() + REMIND;
            }
            let Ok(heard) = self.hear(&mut state) else { return Err(NatsError::Away) };
            if heard > 0 {
                tokio::task::yield_now().await;
            }
            if state.order.is_waiting() {
                continue;
            }
            let late = async {
                match state.reminded {
                    Some(_) => tokio::time::sleep_until(remind).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.membership.woken.notified() => {}
                () = late => {}
            }
        }
    }

    async fn subscribe(&self, state: &mut State, subject: String) -> Result<Key, NatsError> {
        let subscriber = self.config.client.subscribe(subject).await;
        let subscriber = subscriber.map_err(|error| NatsError::Client(error.into()))?;
        Ok(state.subscriptions.add(subscriber))
    }

    async fn follow_rooms(&self, state: &mut State) -> Result<(), NatsError> {
        for (room, there) in self.membership.take_changed() {
            match (there, state.rooms.contains_key(&room)) {
                (true, false) => {
                    // What has no subject comes to all.
                    let Some(subject) = self.subjects.room(&room) else {
                        self.membership.heard([room]);
                        continue;
                    };
                    let key = self.subscribe(state, subject).await?;
                    state.rooms.insert(room.clone(), key);
                    state.new_rooms.push(room);
                }
                (false, true) => {
                    if let Some(key) = state.rooms.remove(&room) {
                        state.subscriptions.remove(key);
                    }
                    self.membership.unheard(&room);
                }
                (false, false) => self.membership.unheard(&room),
                (true, true) => {}
            }
        }
        Ok(())
    }

    /// Two looks, see [`Order`]. Gives how many payloads there were.
    fn hear(&self, state: &mut State) -> Result<usize, Ended> {
        let first = state.subscriptions.look()?;
        let mut heard = first.len();
        let first = self.frames(state, first);
        let second = state.subscriptions.look()?;
        heard += second.len();
        let second = self.frames(state, second);
        let inbox = &self.membership.inbox;
        for frame in state.order.release(first, second) {
            match Message::decode(&frame.message, &self.config.limits) {
                Ok(message) => inbox.receive(message, None),
                Err(error) => inbox.garbage(&error),
            }
        }
        Ok(heard)
    }

    /// What is of others.
    fn frames(&self, state: &mut State, payloads: Vec<Bytes>) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match Frame::decode(&payload) {
                Ok(frame) if frame.uid != self.membership.seat.uid => frames.push(frame),
                Ok(frame) if frame.message.is_empty() => self.reminded(state),
                Ok(_) => {}
                Err(error) => self.membership.inbox.garbage(&error),
            }
        }
        frames
    }

    /// What was subscribed to before we wrote to ourselves is active: NATS takes one after the other.
    fn reminded(&self, state: &mut State) {
        let Some(rooms) = state.reminded.take() else { return };
        self.membership.heard(rooms.into_iter().filter(|room| state.rooms.contains_key(room)));
        if let Some(joined) = state.joined.take() {
            let _ = joined.send(());
        }
    }
}
