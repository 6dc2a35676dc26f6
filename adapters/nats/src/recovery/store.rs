//! Sessions that every node can restore, and what they have missed.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{
    self, ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, pull},
    message::StreamMessage,
    stream::{DeleteMessageErrorKind, RawMessageError, RawMessageErrorKind, Stream},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream as _;
use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterLimits, Message, Offset,
    recovery::{Missed, Page, PageSize, SavedSession, SessionStore},
};
use socketio_parser::Nsp;

use super::{
    log::{Log, born},
    offset::Place,
};
use crate::{error::NatsError, frame::Frame};

/// Entries that are asked for one by one. For more than these a consumer is worth its making.
const FEW: usize = 4;
/// How long JetStream keeps a consumer that was not removed.
const FORGOTTEN: Duration = Duration::from_secs(10);

pub(crate) struct Sessions {
    pub(crate) log: Arc<Log>,
    pub(crate) nsp: Nsp,
    /// Where the events of the namespace are.
    pub(crate) subject: String,
    pub(crate) limits: ClusterLimits,
}

/// A page that is being filled.
struct Filling {
    page: Page,
    end: Place,
    bytes: usize,
    size: PageSize,
}

impl Sessions {
    async fn stream(&self, name: String) -> Result<Stream<()>, NatsError> {
        let stream = self.log.context().get_stream_no_info(name).await;
        stream.map_err(|error| NatsError::JetStream(error.into()))
    }

    /// What is found by one of the ways to ask for an entry.
    async fn entry(
        &self,
        found: impl Future<Output = Result<StreamMessage, RawMessageError>>,
    ) -> Result<Option<StreamMessage>, NatsError> {
        match self.log.answered(found).await? {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(NatsError::JetStream(error.into())),
        }
    }

    /// Whether the stream holds the entry at a place. Another one may have its number.
    async fn holds(&self, place: Place) -> Result<bool, NatsError> {
        let events = self.stream(self.log.prefix.log().0).await?;
        let entry = self.entry(events.get_raw_message(place.seq)).await?;
        Ok(entry.is_some_and(|entry| {
            let same = |frame| Place::sum(&frame) == place.sum;
            *entry.subject == *self.subject && Frame::decode(&entry.payload).is_ok_and(same)
        }))
    }

    async fn take_out(&self, pid: &str) -> Result<Option<SavedSession>, NatsError> {
        let Some(subject) = self.log.prefix.session(pid) else { return Ok(None) };
        let sessions = self.stream(self.log.prefix.sessions().0).await?;
        let found = self.entry(sessions.get_last_raw_message_by_subject(&subject)).await?;
        let Some(found) = found else { return Ok(None) };
        let session = unpack(&found.payload, &self.limits)?;
        let of = session.as_ref().and_then(|session| session.nsp.as_ref());
        if of.is_some_and(|nsp| *nsp != self.nsp) {
            return Ok(None);
        }
        // Of two that have found it, one removes it.
        match self.log.answered(sessions.delete_message(found.sequence)).await? {
            Ok(true) => Ok(session),
            Ok(false) => Ok(None),
            Err(error) => match error.kind() {
                DeleteMessageErrorKind::JetStream(error) if is_gone(&error) => Ok(None),
                _ => Err(NatsError::JetStream(error.into())),
            },
        }
    }

    async fn fill(&self, filling: &mut Filling) -> Result<(), NatsError> {
        let events = self.stream(self.log.prefix.log().0).await?;
        for _ in 0..FEW {
            let next = filling.end.seq.saturating_add(1);
            let next = events.get_first_raw_message_by_subject(&self.subject, next);
            let Some(entry) = self.entry(next).await? else { return Ok(()) };
            if !filling.take(entry.sequence, &entry.payload, &self.limits) {
                return Ok(());
            }
        }
        self.fetch(filling).await
    }

    /// Fills a page with what a consumer gives.
    async fn fetch(&self, filling: &mut Filling) -> Result<(), NatsError> {
        filling.page.more = true;
        let (log, context) = (&self.log, self.log.context());
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: filling.end.seq.saturating_add(1),
            },
            filter_subject: self.subject.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let (stream, _) = log.prefix.log();
        let made = log.answered(context.create_consumer_on_stream(config, stream)).await?;
        let consumer = made.map_err(|error| NatsError::JetStream(error.into()))?;
        let info = consumer.cached_info();
        let remove = format!("$JS.API.CONSUMER.DELETE.{}.{}", info.stream_name, info.name);
        let result = self.fetch_from(&consumer, filling).await;
        // Nobody waits for that.
        let _ = log.client.publish(remove, Bytes::new()).await;
        result
    }

    async fn fetch_from(
        &self,
        consumer: &jetstream::consumer::Consumer<pull::Config>,
        filling: &mut Filling,
    ) -> Result<(), NatsError> {
        let client = &self.log.client;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await;
        let mut messages = messages.map_err(|error| NatsError::Client(error.into()))?;
        let batch = pull::BatchConfig {
            batch: filling.size.packets.saturating_sub(filling.page.events.len()),
            no_wait: true,
            // Any one message fits.
            max_bytes: filling.size.bytes.saturating_add(client.max_payload()).saturating_add(4096),
            ..pull::BatchConfig::default()
        };
        let wanted = batch.batch;
        let asked = consumer.request_batch(batch, inbox.into()).await;
        asked.map_err(|error| NatsError::JetStream(error.into()))?;
        for _ in 0..wanted {
            let next = std::future::poll_fn(|cx| Pin::new(&mut messages).poll_next(cx));
            let message = self.log.answered(next).await?.ok_or(NatsError::Away)?;
            if message.status.is_some() {
                // That was all for now, or what follows is too large for this page.
                return Ok(());
            }
            let message = jetstream::Message { message, context: self.log.context().clone() };
            let Ok(seq) = message.info().map(|info| info.stream_sequence) else { continue };
            if !filling.take(seq, &message.message.payload, &self.limits) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether nothing after a place was lost. To be asked when it has been read: what is there now was there before.
    async fn reaches(&self, from: Place) -> Result<bool, NatsError> {
        let stream = self.log.context().get_stream(self.log.prefix.log().0);
        let stream = self.log.answered(stream).await?;
        let stream = stream.map_err(|error| NatsError::JetStream(error.into()))?;
        let info = stream.cached_info();
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(born(info) == from.born && first <= from.seq.saturating_add(1) && from.seq <= last)
    }
}

impl Filling {
    /// Whether there is room for another one.
    fn take(&mut self, seq: u64, payload: &Bytes, limits: &ClusterLimits) -> bool {
        // What is no message has been counted by the reader.
        let frame = Frame::decode(payload).ok();
        let sum = frame.as_ref().map_or(0, Place::sum);
        self.end = Place { seq, sum, ..self.end };
        let message = frame.and_then(|frame| Message::decode(&frame.message, limits).ok());
        if let Some(Body::Broadcast { args, selection, request: None }) = message.map(|it| it.body)
        {
            self.bytes = self.bytes.saturating_add(payload.len());
            self.page.events.push(Missed { offset: self.end.into(), args, selection });
        }
        self.page.more =
            self.page.events.len() >= self.size.packets || self.bytes >= self.size.bytes;
        !self.page.more
    }
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let pid = &session.pid;
            let subject = self.log.prefix.session(pid).ok_or(NatsError::Name(pid.len()))?;
            let payload = pack(&session, ttl);
            let (bytes, limit) = (payload.len(), self.log.client.max_payload());
            if bytes > limit {
                return Err(NatsError::TooLarge { bytes, limit }.into());
            }
            self.log.append(&subject, payload).await?;
            Ok(())
        })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<SavedSession>, AdapterError>> {
        Box::pin(async move {
            let Some(place) = Place::parse(offset) else { return Ok(None) };
            if !self.holds(place).await? {
                return Ok(None);
            }
            Ok(self.take_out(pid).await?)
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let from = Place::parse(offset).ok_or(NatsError::Trimmed)?;
            let page = Page { events: Vec::new(), end: offset.clone(), more: false };
            let mut filling = Filling { page, end: from, bytes: 0, size };
            self.fill(&mut filling).await?;
            if !self.reaches(from).await? {
                return Err(NatsError::Trimmed.into());
            }
            filling.page.end = filling.end.into();
            Ok(filling.page)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        let place = |offset| Place::parse(offset).map(|Place { born, seq, .. }| (born, seq));
        place(offset) > place(other)
    }
}

/// When it ends, in milliseconds, and the session.
fn pack(session: &SavedSession, ttl: Duration) -> Bytes {
    let end = now().saturating_add(ttl.as_millis().try_into().unwrap_or(u64::MAX));
    let session = session.to_msgpack();
    let mut out = BytesMut::with_capacity(8 + session.len());
    out.put_u64(end);
    out.put_slice(&session);
    out.freeze()
}

/// None where it has ended.
fn unpack(payload: &[u8], limits: &ClusterLimits) -> Result<Option<SavedSession>, NatsError> {
    let malformed = |error: Box<dyn std::error::Error + Send + Sync>| NatsError::Session(error);
    let (end, session) =
        payload.split_first_chunk().ok_or_else(|| malformed("too short".into()))?;
    if u64::from_be_bytes(*end) <= now() {
        return Ok(None);
    }
    let session = SavedSession::from_msgpack(session, limits);
    session.map(Some).map_err(|error| malformed(error.into()))
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Servers differ in how they say it.
fn is_gone(error: &jetstream::Error) -> bool {
    let codes = [
        ErrorCode::SEQUENCE_NOT_FOUND,
        ErrorCode::NO_MESSAGE_FOUND,
        ErrorCode::STREAM_MESSAGE_DELETE_FAILED,
    ];
    codes.contains(&error.error_code())
}
