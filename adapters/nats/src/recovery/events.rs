//! The events of a namespace that stand in the stream, read again for who missed them.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};
use bytes::Bytes;
use futures_core::Stream as _;
use socketio_adapter::{
    Body, ClusterLimits, Message,
    recovery::{Missed, Page, PageSize},
};

use super::{
    log::{Log, born},
    offset::Place,
};
use crate::{error::NatsError, frame::Frame};

/// Entries that are asked for one by one. For more than these a consumer is worth its making.
const FEW: usize = 4;
/// How long JetStream keeps a consumer that was not removed.
const FORGOTTEN: Duration = Duration::from_secs(10);

pub(crate) struct Events {
    pub(crate) log: Arc<Log>,
    /// Where those of the namespace are.
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

impl Events {
    /// Whether the stream holds the entry at a place. Another one may have its number.
    pub(super) async fn hold(&self, place: Place) -> Result<bool, NatsError> {
        let events = self.log.stream_of(self.log.prefix.log()).await?;
        let entry = self.log.found(events.get_raw_message(place.seq)).await?;
        Ok(entry.is_some_and(|entry| {
            let same = |frame| Place::sum(&frame) == place.sum;
            *entry.subject == *self.subject && Frame::decode(&entry.payload).is_ok_and(same)
        }))
    }

    /// What stands after a place.
    pub(super) async fn after(&self, from: Place, size: PageSize) -> Result<Page, NatsError> {
        let page = Page { events: Vec::new(), end: from.into(), more: false };
        let mut filling = Filling { page, end: from, bytes: 0, size };
        self.fill(&mut filling).await?;
        if !self.reach(from).await? {
            return Err(NatsError::Trimmed);
        }
        filling.page.end = filling.end.into();
        Ok(filling.page)
    }

    async fn fill(&self, filling: &mut Filling) -> Result<(), NatsError> {
        let events = self.log.stream_of(self.log.prefix.log()).await?;
        for _ in 0..FEW {
            let next = filling.end.seq.saturating_add(1);
            let next = events.get_first_raw_message_by_subject(&self.subject, next);
            let Some(entry) = self.log.found(next).await? else { return Ok(()) };
            if !filling.take(entry.sequence, &entry.payload, &self.limits) {
                return Ok(());
            }
        }
        self.fetch(filling).await?;
        // Where the end is, only the next one who asks finds out.
        filling.page.more = true;
        Ok(())
    }

    /// Fills a page with what a consumer gives.
    async fn fetch(&self, filling: &mut Filling) -> Result<(), NatsError> {
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
        consumer: &Consumer<pull::Config>,
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
    async fn reach(&self, from: Place) -> Result<bool, NatsError> {
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
        self.bytes = self.bytes.saturating_add(payload.len());
        if let Some(Body::Broadcast { args, selection, request: None }) = message.map(|it| it.body)
        {
            self.page.events.push(Missed { offset: self.end.into(), args, selection });
        }
        self.page.more =
            self.page.events.len() >= self.size.packets || self.bytes >= self.size.bytes;
        !self.page.more
    }
}
