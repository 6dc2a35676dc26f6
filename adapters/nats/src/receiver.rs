//! The receiving task of a namespace: manages its subscriptions and delivers messages to the inbox.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
    subscriptions::{ClientClosed, Key, Subscriptions},
};

/// How long a node waits for its own probe message before it sends another one.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Subscribed rooms whose subscriptions are not known to be active yet.
    new_rooms: Vec<Room>,
    /// The rooms that the probe under way will confirm. `None` if no probe is under way.
    probe: Option<Vec<Room>>,
    /// The subscription that ends when the node has joined.
    sample_room: Option<Key>,
    joined: Option<oneshot::Sender<()>>,
}

impl Receiver {
    /// Runs until the client closes. Sends on `joined` when the first subscriptions are active. The
    /// task runs without tokio's cooperative budget, as [`Subscriptions::take_ready`] requires, and
    /// yields by itself.
    pub(crate) async fn run(self, joined: oneshot::Sender<()>) {
        let result = tokio::task::unconstrained(self.receive_until_closed(joined)).await;
        if let Err(error) = result {
            tracing::warn!(target: "socketio::cluster", %error, "the subscriptions of a namespace have ended");
        }
    }

    async fn receive_until_closed(&self, joined: oneshot::Sender<()>) -> Result<(), NatsError> {
        let mut state = State {
            subscriptions: Subscriptions::new(self.membership.woken.clone()),
            order: Order::default(),
            rooms: HashMap::new(),
            new_rooms: Vec::new(),
            probe: None,
            sample_room: None,
            joined: Some(joined),
        };
        let own = self.subjects.node(&self.membership.member.uid)?;
        // A room of this name shows whether NATS permits the subjects of rooms.
        let sample_room = Room::from(self.membership.member.uid.as_str());
        let room = self.subjects.room(&sample_room).filter(|_| self.config.room_subjects);
        self.membership.await_probes(
            [self.subjects.all()].into_iter().chain(room.clone()).chain([own.clone()]).collect(),
        );
        for subject in [self.subjects.all(), own.clone()] {
            self.subscribe(&mut state, subject).await?;
        }
        if let Some(room) = room {
            state.sample_room = Some(self.subscribe(&mut state, room).await?);
        }
        let mut next_probe = Instant::now();
        loop {
            self.update_subscriptions(&mut state).await?;
            if state.probe.is_none() && (state.joined.is_some() || !state.new_rooms.is_empty()) {
                state.probe = Some(std::mem::take(&mut state.new_rooms));
                next_probe = Instant::now();
            }
            // Check on every turn, because a busy namespace may never be idle.
            if state.probe.is_some() && next_probe <= Instant::now() {
                let subjects = match state.joined {
                    Some(_) => self.membership.awaited_probes(),
                    None => vec![own.clone()],
                };
                for subject in subjects {
                    let _ = self.publisher.send_probe(subject, &self.membership.member.uid).await;
                }
                next_probe = Instant::now() + PROBE_INTERVAL;
            }
            let Ok(received) = self.receive_pending(&mut state) else {
                return Err(NatsError::NotConnected);
            };
            if received > 0 {
                tokio::task::yield_now().await;
            }
            if state.order.is_waiting() {
                continue;
            }
            let late = async {
                match state.probe {
                    Some(_) => tokio::time::sleep_until(next_probe).await,
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

    async fn update_subscriptions(&self, state: &mut State) -> Result<(), NatsError> {
        for (room, exists) in self.membership.take_changed() {
            match (exists, state.rooms.contains_key(&room)) {
                (true, false) => {
                    // Messages to a room without a subject go to all nodes.
                    let Some(subject) = self.subjects.room(&room) else {
                        self.membership.mark_subscribed([room]);
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
                    self.membership.mark_unsubscribed(&room);
                }
                (false, false) => self.membership.mark_unsubscribed(&room),
                (true, true) => {}
            }
        }
        Ok(())
    }

    /// Reads all subscriptions in two passes (see [`Order`]). Returns the number of payloads.
    fn receive_pending(&self, state: &mut State) -> Result<usize, ClientClosed> {
        let first = state.subscriptions.take_ready()?;
        let mut received = first.len();
        let first = self.decode_frames(state, &first);
        let second = state.subscriptions.take_ready()?;
        received += second.len();
        let second = self.decode_frames(state, &second);
        let inbox = &self.membership.inbox;
        for frame in state.order.release(first, second) {
            match Message::decode(&frame.message, &self.config.limits) {
                Ok(message) => inbox.receive(message, None),
                Err(error) => inbox.undecodable(&error),
            }
        }
        Ok(received)
    }

    /// Decodes payloads. Returns those of other nodes, and handles the node's own probes. The
    /// probes of other nodes that join arrive on the subject of all nodes, and are dropped.
    fn decode_frames(&self, state: &mut State, received: &[async_nats::Message]) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(received.len());
        for message in received {
            let subject = message.subject.as_str();
            match Frame::decode(&message.payload) {
                Ok(frame) if frame.uid == self.membership.member.uid => {
                    if frame.message.is_empty() {
                        self.probe_returned(state, subject);
                    }
                }
                Ok(frame) if frame.message.is_empty() && subject == self.subjects.all() => {}
                Ok(frame) => frames.push(frame),
                Err(error) => self.membership.inbox.undecodable(&error),
            }
        }
        frames
    }

    /// Confirms the subscriptions that were made before the probe was sent. NATS processes the
    /// commands of a connection in order.
    fn probe_returned(&self, state: &mut State, subject: &str) {
        // A node that NATS denies one of its subjects must not join as if it received everything.
        let complete = match state.joined {
            Some(_) => self.membership.record_probe(subject),
            None => self.subjects.node(&self.membership.member.uid).is_ok_and(|own| own == subject),
        };
        if !complete {
            return;
        }
        if let Some(key) = state.sample_room.take() {
            state.subscriptions.remove(key);
        }
        let Some(rooms) = state.probe.take() else { return };
        self.membership
            .mark_subscribed(rooms.into_iter().filter(|room| state.rooms.contains_key(room)));
        if let Some(joined) = state.joined.take() {
            let _ = joined.send(());
        }
    }
}
