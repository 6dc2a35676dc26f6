//! Reads the stream of events for one namespace, in order and without gaps.

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
use socketio_adapter::{ClusterLimits, Message, Offset, internal::is_event};
use tokio::sync::oneshot;

use super::{
    log::{Log, created_at},
    offset::EntryOffset,
};
use crate::{error::NatsError, frame::Frame, membership::Membership};

/// How often JetStream sends a heartbeat if there are no events.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long JetStream may be silent.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// How often the reader checks that its connection still exists.
const CONNECTION_CHECK: Duration = Duration::from_millis(250);
/// How long the reader waits before it reads again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long the reader waits after JetStream has refused a request.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Reader {
    pub(crate) log: Arc<Log>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) subject: String,
    pub(crate) limits: ClusterLimits,
}

/// The last entry that was read: its sequence number, and the creation time of its stream.
#[derive(Clone, Copy)]
struct Position {
    created_at: u64,
    seq: u64,
}

struct State {
    position: Option<Position>,
    /// Whether the last attempt to read succeeded. Initially true.
    healthy: bool,
    joined: Option<oneshot::Sender<()>>,
}

impl Reader {
    /// Runs forever. Sends on `joined` when it first reads.
    pub(crate) async fn run(self, joined: oneshot::Sender<()>) {
        let mut state = State { position: None, healthy: true, joined: Some(joined) };
        loop {
            let pause = match self.read(&mut state).await {
                Ok(()) => RETRY_PAUSE,
                Err(error) => {
                    // Log one warning per interruption, not one per attempt.
                    if std::mem::take(&mut state.healthy) {
                        let nsp = &self.membership.member.nsp;
                        tracing::warn!(target: "socketio::cluster", %nsp, %error, "cannot read the stream of events: retrying");
                    }
                    // The client reconnects by itself, so a short pause suffices.
                    if matches!(error, NatsError::NotConnected | NatsError::ConnectionLost) {
                        RETRY_PAUSE
                    } else {
                        REFUSED_PAUSE
                    }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads until a new consumer is needed. A consumer does not survive the loss of its connection
    /// or of its server.
    async fn read(&self, state: &mut State) -> Result<(), NatsError> {
        let connects = self.log.connects();
        let mut position = self.start_position(state).await?;
        let mut messages = self.consume(position).await?;
        // The stream may have been created again since `start_position`.
        if created_at(&self.log.events().await?) != position.created_at {
            return Ok(());
        }
        state.healthy = true;
        if let Some(joined) = state.joined.take() {
            let _ = joined.send(());
        }
        let stream_created = self.log.stream_created.notified();
        tokio::pin!(stream_created);
        let (mut last_received, mut count) = (Instant::now(), 0);
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut messages).poll_next(cx));
            let message = tokio::select! {
                message = tokio::time::timeout(CONNECTION_CHECK, next) => message,
                () = &mut stream_created => return Ok(()),
            };
            match message {
                Ok(Some(message)) => {
                    last_received = Instant::now();
                    self.log.clear_pause();
                    if !self.take(message, &mut count, &mut position).await? {
                        return Ok(());
                    }
                    state.position = Some(position);
                }
                Ok(None) => return Err(NatsError::NotConnected),
                Err(_) if self.log.connects() != connects => return Ok(()),
                Err(_) if last_received.elapsed() > MAX_SILENCE => {
                    return Err(NatsError::Timeout(MAX_SILENCE));
                }
                Err(_) => {}
            }
        }
    }

    /// Returns the position from which to read.
    async fn start_position(&self, state: &mut State) -> Result<Position, NatsError> {
        let stream = self.log.prepare().await?;
        let (created_at, last) = (created_at(&stream), stream.state.last_sequence);
        let position = match state.position {
            // A node that has just joined skips existing entries.
            None => Position { created_at, seq: last },
            Some(position) if position.created_at == created_at && position.seq <= last => {
                if position.seq + 1 < stream.state.first_sequence {
                    tracing::warn!(target: "socketio::cluster", "events may be lost: the stream was trimmed before this node read it");
                }
                position
            }
            Some(_) => {
                tracing::warn!(target: "socketio::cluster", "the stream of events was lost: reading a new one");
                Position { created_at, seq: 0 }
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
        let created = self.log.context().create_consumer_on_stream(consumer, stream);
        let created = self.log.await_response(created).await?;
        created.map_err(|error| NatsError::JetStream(error.into()))?;
        Ok(messages)
    }

    /// Processes a message of the consumer. Returns false if messages before it are missing or the
    /// consumer has ended.
    async fn take(
        &self,
        message: async_nats::Message,
        count: &mut u64,
        position: &mut Position,
    ) -> Result<bool, NatsError> {
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            // A heartbeat with a reply subject is a flow control request. Without one, it contains
            // the number of messages so far.
            return match &message.reply {
                Some(reply) => {
                    let sent = self.log.client.publish(reply.clone(), Bytes::new()).await;
                    sent.map(|()| true).map_err(|error| NatsError::Client(error.into()))
                }
                None => {
                    let last = message.headers.as_ref().and_then(|it| it.get(NATS_LAST_CONSUMER));
                    Ok(last.is_none_or(|last| last.as_str() == count.to_string()))
                }
            };
        }
        if message.status.is_some() {
            // The consumer was deleted.
            return Ok(false);
        }
        let message = jetstream::Message { message, context: self.log.context().clone() };
        // Any client of NATS that knows the inbox can write to it.
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
        let Membership { inbox, member, .. } = &*self.membership;
        let frame = match Frame::decode(payload) {
            Ok(frame) => frame,
            Err(error) => return inbox.undecodable(&error),
        };
        let Position { created_at, seq } = position;
        let place = EntryOffset { created_at, seq, checksum: EntryOffset::checksum(&frame) };
        let offset = Offset::from(place);
        if Message::own_event(&frame.message, member)
            .is_some_and(|number| inbox.receive_own(number, &offset))
        {
            return;
        }
        match Message::decode(&frame.message, &self.limits) {
            // A node has already executed its own requests, except for broadcasts.
            Ok(message) if message.uid == member.uid && !is_event(&message.body) => {}
            Ok(message) => inbox.receive(message, Some(offset)),
            Err(error) => inbox.undecodable(&error),
        }
    }
}
