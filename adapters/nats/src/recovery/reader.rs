//! Reads the stream of events for one namespace, in order and without a gap.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    StatusCode, Subscriber,
    header::NATS_LAST_CONSUMER,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, push},
    },
};
use bytes::Bytes;
use futures_core::Stream as _;
use socketio_adapter::{Body, ClusterLimits, Message};
use tokio::sync::oneshot;

use super::{
    log::{Log, born},
    offset::Place,
};
use crate::{error::NatsError, frame::Frame, membership::Membership};

/// How often JetStream says that there is nothing, and how long it may be silent.
const HEARTBEAT: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether the connection is still the same.
const LOOK: Duration = Duration::from_millis(250);
/// Before it is begun again; and where JetStream refused.
const PAUSE: Duration = Duration::from_millis(100);
const REFUSED: Duration = Duration::from_secs(1);

pub(crate) struct Reader {
    pub(crate) log: Arc<Log>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) subject: String,
    pub(crate) limits: ClusterLimits,
}

/// How far it has read: in the stream that was made at a time, up to an entry.
#[derive(Clone, Copy)]
struct Position {
    born: u64,
    seq: u64,
}

struct State {
    position: Option<Position>,
    /// Whether it could be read, or was not tried yet.
    reads: bool,
    joined: Option<oneshot::Sender<()>>,
}

impl Reader {
    /// Runs for ever; `joined` is told when it reads.
    pub(crate) async fn run(self, joined: oneshot::Sender<()>) {
        let mut state = State { position: None, reads: true, joined: Some(joined) };
        loop {
            let pause = match self.read(&mut state).await {
                Ok(()) => PAUSE,
                Err(error) => {
                    // Once for each time that it was read.
                    if std::mem::take(&mut state.reads) {
                        let nsp = &self.membership.seat.nsp;
                        tracing::warn!(target: "socketio::cluster", %nsp, %error, "cannot read the stream");
                    }
                    // The client makes its connection again by itself.
                    if matches!(error, NatsError::Away | NatsError::Lost) { PAUSE } else { REFUSED }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Until it is to begin again: JetStream's consumers do not outlive much.
    async fn read(&self, state: &mut State) -> Result<(), NatsError> {
        let connects = self.log.connects();
        let mut position = self.begin(state).await?;
        let mut messages = self.consume(position).await?;
        // Of the same stream?
        if born(&self.log.events().await?) != position.born {
            return Ok(());
        }
        state.reads = true;
        if let Some(joined) = state.joined.take() {
            let _ = joined.send(());
        }
        let made = self.log.made.notified();
        tokio::pin!(made);
        let (mut heard, mut count) = (Instant::now(), 0);
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut messages).poll_next(cx));
            let message = tokio::select! {
                message = tokio::time::timeout(LOOK, next) => message,
                () = &mut made => return Ok(()),
            };
            match message {
                Ok(Some(message)) => {
                    heard = Instant::now();
                    self.log.heard();
                    if !self.take(message, &mut count, &mut position).await? {
                        return Ok(());
                    }
                    state.position = Some(position);
                }
                Ok(None) => return Err(NatsError::Away),
                Err(_) if self.log.connects() != connects => return Ok(()),
                Err(_) if heard.elapsed() > SILENCE => return Err(NatsError::Timeout(SILENCE)),
                Err(_) => {}
            }
        }
    }

    /// Where to read on.
    async fn begin(&self, state: &mut State) -> Result<Position, NatsError> {
        let stream = self.log.prepare().await?;
        let (born, last) = (born(&stream), stream.state.last_sequence);
        let position = match state.position {
            // What stands there was there before the node was.
            None => Position { born, seq: last },
            Some(position) if position.born == born && position.seq <= last => {
                if position.seq + 1 < stream.state.first_sequence {
                    tracing::warn!(target: "socketio::cluster", "events may be lost: the stream was trimmed before it was read");
                }
                position
            }
            Some(_) => {
                tracing::warn!(target: "socketio::cluster", "the stream was lost, and is a new one");
                Position { born, seq: 0 }
            }
        };
        state.position = Some(position);
        Ok(position)
    }

    async fn consume(&self, position: Position) -> Result<Subscriber, NatsError> {
        let client = &self.log.client;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| NatsError::Client(error.into()))?;
        let consumer = push::Config {
            deliver_subject: inbox,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: position.seq + 1 },
            filter_subject: self.subject.clone(),
            ack_policy: AckPolicy::None,
            idle_heartbeat: HEARTBEAT,
            flow_control: true,
            memory_storage: true,
            num_replicas: 1,
            ..push::Config::default()
        };
        let (stream, _) = self.log.prefix.log();
        let made = self.log.context().create_consumer_on_stream(consumer, stream);
        let made = self.log.answered(made).await?;
        made.map_err(|error| NatsError::JetStream(error.into()))?;
        Ok(messages)
    }

    /// Whether nothing is missing before it.
    async fn take(
        &self,
        message: async_nats::Message,
        count: &mut u64,
        position: &mut Position,
    ) -> Result<bool, NatsError> {
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            // One that wants an answer asks whether we keep up; another one says how much there was.
            return match &message.reply {
                Some(reply) => {
                    let answer = self.log.client.publish(reply.clone(), Bytes::new()).await;
                    answer.map(|()| true).map_err(|error| NatsError::Client(error.into()))
                }
                None => {
                    let last = message.headers.as_ref().and_then(|it| it.get(NATS_LAST_CONSUMER));
                    Ok(last.is_none_or(|last| last.as_str() == count.to_string()))
                }
            };
        }
        if message.status.is_some() {
            // The consumer has ended.
            return Ok(false);
        }
        let message = jetstream::Message { message, context: self.log.context().clone() };
        // Whoever knows the inbox may write to it.
        let Ok(info) = message.info() else { return Ok(true) };
        if info.consumer_sequence != *count + 1 {
            return Ok(false);
        }
        *count += 1;
        if info.stream_sequence <= position.seq {
            return Ok(true);
        }
        position.seq = info.stream_sequence;
        self.deliver(&message.message.payload, *position);
        Ok(true)
    }

    fn deliver(&self, payload: &Bytes, position: Position) {
        let inbox = &self.membership.inbox;
        let message = Frame::decode(payload)
            .and_then(|frame| Ok((Message::decode(&frame.message, &self.limits)?, frame)));
        match message {
            // A node has done what it asks of all when it has asked, but for broadcasts.
            Ok((message, _))
                if message.uid == self.membership.seat.uid
                    && !matches!(message.body, Body::Broadcast { request: None, .. }) => {}
            Ok((message, frame)) => {
                let Position { born, seq } = position;
                let place = Place { born, seq, sum: Place::sum(&frame) };
                inbox.receive(message, Some(place.into()));
            }
            Err(error) => inbox.garbage(&error),
        }
    }
}
