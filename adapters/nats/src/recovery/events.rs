//! Reads the events of a namespace from the stream again, for clients that missed them.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};
use bytes::Bytes;
use futures_core::Stream as _;
use socketio_adapter::{
    ClusterLimits, Message,
    recovery::{MissedEvent, Page, PageSize},
};

use super::{
    log::{Log, created_at},
    offset::EntryOffset,
};
use crate::{error::NatsError, frame::Frame};

/// Number of entries that are requested one by one. Beyond this number a consumer is cheaper.
const MAX_SINGLE_READS: usize = 4;
/// How long JetStream keeps an unused consumer that was not deleted.
const CONSUMER_EXPIRY: Duration = Duration::from_secs(10);

pub(crate) struct Events {
    pub(crate) log: Arc<Log>,
    /// The subject of the namespace's events.
    pub(crate) subject: String,
    pub(crate) limits: ClusterLimits,
}

/// A page under construction.
struct PageBuilder {
    page: Page,
    end: EntryOffset,
    bytes: usize,
    size: PageSize,
}

impl Events {
    /// Returns whether the stream contains exactly this entry. After a loss, another entry may have
    /// its sequence number.
    pub(super) async fn contains(&self, place: EntryOffset) -> Result<bool, NatsError> {
        let events = self.log.stream_handle(self.log.prefix.log()).await?;
        let entry = self.log.entry(events.get_raw_message(place.seq)).await?;
        Ok(entry.is_some_and(|entry| {
            let same = |frame| EntryOffset::checksum(&frame) == place.checksum;
            *entry.subject == *self.subject && Frame::decode(&entry.payload).is_ok_and(same)
        }))
    }

    /// Reads one page of entries after an offset.
    pub(super) async fn read_after(
        &self,
        from: EntryOffset,
        size: PageSize,
    ) -> Result<Page, NatsError> {
        let page = Page { events: Vec::new(), end: from.into(), has_more: false };
        let mut builder = PageBuilder { page, end: from, bytes: 0, size };
        self.fill(&mut builder).await?;
        if !self.is_complete_after(from).await? {
            return Err(NatsError::Trimmed);
        }
        builder.page.end = builder.end.into();
        Ok(builder.page)
    }

    async fn fill(&self, builder: &mut PageBuilder) -> Result<(), NatsError> {
        let events = self.log.stream_handle(self.log.prefix.log()).await?;
        for _ in 0..MAX_SINGLE_READS {
            let next = builder.end.seq.saturating_add(1);
            let next = events.get_first_raw_message_by_subject(&self.subject, next);
            let Some(entry) = self.log.entry(next).await? else { return Ok(()) };
            if !builder.take(entry.sequence, &entry.payload, &self.limits) {
                return Ok(());
            }
        }
        self.fetch(builder).await?;
        // Whether this was the last page is only known after the next read.
        builder.page.has_more = true;
        Ok(())
    }

    /// Fills a page with the messages of a consumer.
    async fn fetch(&self, builder: &mut PageBuilder) -> Result<(), NatsError> {
        let (log, context) = (&self.log, self.log.context());
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: builder.end.seq.saturating_add(1),
            },
            filter_subject: self.subject.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_EXPIRY,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let (stream, _) = log.prefix.log();
        let consumer =
            log.await_response(context.create_consumer_on_stream(config, stream)).await?;
        let consumer = consumer.map_err(|error| NatsError::JetStream(error.into()))?;
        let info = consumer.cached_info();
        let remove = format!("$JS.API.CONSUMER.DELETE.{}.{}", info.stream_name, info.name);
        let result = self.fetch_from(&consumer, builder).await;
        // The response is not needed.
        let _ = log.client.publish(remove, Bytes::new()).await;
        result
    }

    async fn fetch_from(
        &self,
        consumer: &Consumer<pull::Config>,
        builder: &mut PageBuilder,
    ) -> Result<(), NatsError> {
        let client = &self.log.client;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await;
        let mut messages = messages.map_err(|error| NatsError::Client(error.into()))?;
        let batch = pull::BatchConfig {
            batch: builder.size.packets.saturating_sub(builder.page.events.len()),
            no_wait: true,
            // The limit leaves room for any single message.
            max_bytes: builder.size.bytes.saturating_add(client.max_payload()).saturating_add(4096),
            ..pull::BatchConfig::default()
        };
        let wanted = batch.batch;
        let asked = consumer.request_batch(batch, inbox.into()).await;
        asked.map_err(|error| NatsError::JetStream(error.into()))?;
        for _ in 0..wanted {
            let next = std::future::poll_fn(|cx| Pin::new(&mut messages).poll_next(cx));
            let message = self.log.await_response(next).await?.ok_or(NatsError::NotConnected)?;
            if message.status.is_some() {
                // There are no more messages, or the next one does not fit into this page.
                return Ok(());
            }
            let message = jetstream::Message { message, context: self.log.context().clone() };
            let Ok(seq) = message.info().map(|info| info.stream_sequence) else { continue };
            if !builder.take(seq, &message.message.payload, &self.limits) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns whether the stream still contains all entries after `from`. Call it after reading:
    /// entries that are complete now were complete before.
    async fn is_complete_after(&self, from: EntryOffset) -> Result<bool, NatsError> {
        let stream = self.log.context().get_stream(self.log.prefix.log().0);
        let stream = self.log.await_response(stream).await?;
        let stream = stream.map_err(|error| NatsError::JetStream(error.into()))?;
        let info = stream.cached_info();
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(created_at(info) == from.created_at
            && first <= from.seq.saturating_add(1)
            && from.seq <= last)
    }
}

impl PageBuilder {
    /// Adds an entry. Returns whether the page has room for another one.
    fn take(&mut self, seq: u64, payload: &Bytes, limits: &ClusterLimits) -> bool {
        // The reader has already counted entries that are not messages.
        let frame = Frame::decode(payload).ok();
        let checksum = frame.as_ref().map_or(0, EntryOffset::checksum);
        self.end = EntryOffset { seq, checksum, ..self.end };
        let message = frame.and_then(|frame| Message::decode(&frame.message, limits).ok());
        self.bytes = self.bytes.saturating_add(payload.len());
        self.page.events.extend(message.and_then(|it| MissedEvent::new(it, self.end)));
        self.page.has_more =
            self.page.events.len() >= self.size.packets || self.bytes >= self.size.bytes;
        !self.page.has_more
    }
}
