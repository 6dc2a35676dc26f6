//! The streams of events and sessions, and requests to JetStream.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_nats::{
    Client, HeaderMap,
    connection::State,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM},
    jetstream::{
        Context, ErrorCode,
        context::{CreateStreamError, CreateStreamErrorKind, PublishErrorKind},
        message::StreamMessage,
        stream::{Config, Info, RawMessageError, RawMessageErrorKind, RetentionPolicy, Stream},
    },
};
use bytes::Bytes;
use socketio_adapter::{Offset, internal::lock};
use tokio::{sync::Notify, time::Instant};

use super::{offset::EntryOffset, options::JetStream};
use crate::{error::NatsError, frame::Frame, subject::Prefix};

/// How often a pending request checks that its connection still exists.
const CONNECTION_CHECK: Duration = Duration::from_millis(100);

/// The streams of an application.
pub(crate) struct Log {
    pub(super) client: Client,
    pub(super) prefix: Prefix,
    options: JetStream,
    timeout: Duration,
    /// Created on first use, because this starts a task.
    context: OnceLock<Context>,
    /// When the stream of events was created, in milliseconds, as last seen.
    created_at: AtomicU64,
    /// Appends fail until this instant, because the last one got no response.
    paused_until: Mutex<Option<Instant>>,
    /// Notified when a publisher found the stream missing and has created it again.
    pub(super) stream_created: Notify,
}

impl Log {
    pub(crate) fn new(
        client: Client,
        prefix: &str,
        options: JetStream,
        timeout: Duration,
    ) -> Result<Arc<Self>, NatsError> {
        Ok(Arc::new(Self {
            client,
            prefix: Prefix::new(prefix)?,
            options,
            timeout,
            context: OnceLock::new(),
            created_at: AtomicU64::new(0),
            paused_until: Mutex::default(),
            stream_created: Notify::new(),
        }))
    }

    /// Creates the missing streams. Several nodes may do so at the same time. Returns the stream of
    /// events.
    pub(crate) async fn prepare(&self) -> Result<Info, NatsError> {
        let (name, subject) = self.prefix.sessions();
        self.stream(self.options.sessions(&name, &subject)).await?;
        self.events().await
    }

    /// Returns the stream of events. Creates it if it is missing.
    pub(super) async fn events(&self) -> Result<Info, NatsError> {
        let (name, subject) = self.prefix.log();
        let events = self.stream(self.options.events(&name, &subject)).await?;
        self.created_at.store(created_at(&events), Ordering::Relaxed);
        Ok(events)
    }

    async fn stream(&self, config: Config) -> Result<Info, NatsError> {
        let context = self.context();
        let mut stream = self.await_response(context.get_or_create_stream(config.clone())).await?;
        // Another node has created the stream in the meantime, with other limits.
        if stream.as_ref().is_err_and(|error| has_code(error, ErrorCode::STREAM_NAME_EXIST)) {
            stream = self.await_response(context.get_or_create_stream(config.clone())).await?;
        }
        let stream = stream.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStreamUnavailable => NatsError::NoJetStream,
            CreateStreamErrorKind::TimedOut => NatsError::Timeout(self.timeout),
            _ if has_code(&error, ErrorCode::JETSTREAM_NOT_ENABLED) => NatsError::NoJetStream,
            _ if has_code(&error, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) => {
                NatsError::NoJetStream
            }
            _ => NatsError::JetStream(error.into()),
        })?;
        let info = stream.cached_info();
        if is_compatible(&info.config, &config) {
            Ok(info.clone())
        } else {
            Err(NatsError::ForeignStream(config.name))
        }
    }

    /// Appends a message to the stream of its subject. Returns its sequence number once it is
    /// stored.
    pub(crate) async fn append(&self, subject: &str, payload: Bytes) -> Result<u64, NatsError> {
        self.append_after(subject, payload, None).await
    }

    /// Appends a message like [`append`](Self::append). If `last` is set, the last message of the
    /// subject must have that sequence number, or 0 if there must be none;
    /// [`NatsError::SessionChanged`] is returned otherwise.
    pub(super) async fn append_after(
        &self,
        subject: &str,
        payload: Bytes,
        last: Option<u64>,
    ) -> Result<u64, NatsError> {
        let paused_until = *self.paused_until();
        if paused_until.is_some_and(|until| Instant::now() < until) {
            return Err(NatsError::JetStreamUnresponsive);
        }
        let result = match self.try_append(subject, payload.clone(), last).await {
            Err(NatsError::NoStream) => {
                self.prepare().await?;
                self.stream_created.notify_waiters();
                self.try_append(subject, payload, last).await
            }
            result => result,
        };
        // Otherwise each of many queued messages would wait for a full timeout.
        let silent = matches!(result, Err(NatsError::Timeout(_)));
        *self.paused_until() = silent.then(|| Instant::now() + self.timeout);
        result
    }

    /// Checks that NATS permits publishing to a subject. JetStream refuses the message, because no
    /// stream has that name, and stores nothing. Any response will do: NATS drops a message to a
    /// denied subject without one.
    pub(crate) async fn check_permission(&self, subject: String) -> Result<(), NatsError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, "-");
        let (context, timeout) = (self.context(), self.timeout);
        let sent = context.publish_with_headers(subject.clone(), headers, Bytes::new());
        let refused = self.await_response(async { sent.await?.await }).await;
        match refused {
            Ok(Err(error)) if error.kind() == PublishErrorKind::TimedOut => {
                Err(NatsError::ProbeTimeout { subject, timeout })
            }
            Err(NatsError::Timeout(_)) => Err(NatsError::ProbeTimeout { subject, timeout }),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Allows requests again, because JetStream was heard of.
    pub(super) fn clear_pause(&self) {
        *self.paused_until() = None;
    }

    async fn try_append(
        &self,
        subject: &str,
        payload: Bytes,
        last: Option<u64>,
    ) -> Result<u64, NatsError> {
        let (context, subject) = (self.context(), subject.to_owned());
        let appended = async {
            let Some(last) = last else { return context.publish(subject, payload).await?.await };
            let mut headers = HeaderMap::new();
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
            context.publish_with_headers(subject, headers, payload).await?.await
        };
        self.await_response(appended).await?.map(|stored| stored.sequence).map_err(|error| {
            match error.kind() {
                PublishErrorKind::StreamNotFound => NatsError::NoStream,
                PublishErrorKind::TimedOut => NatsError::Timeout(self.timeout),
                PublishErrorKind::WrongLastSequence => NatsError::SessionChanged,
                _ => NatsError::JetStream(error.into()),
            }
        })
    }

    /// Returns a handle to a stream, given its name and subject.
    pub(super) async fn stream_handle(
        &self,
        names: (String, String),
    ) -> Result<Stream<()>, NatsError> {
        let stream = self.context().get_stream_no_info(names.0).await;
        stream.map_err(|error| NatsError::JetStream(error.into()))
    }

    /// Resolves a request for an entry. Returns `None` if there is no such entry.
    pub(super) async fn entry(
        &self,
        entry: impl Future<Output = Result<StreamMessage, RawMessageError>>,
    ) -> Result<Option<StreamMessage>, NatsError> {
        match self.await_response(entry).await? {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(NatsError::JetStream(error.into())),
        }
    }

    /// Waits for a response. Fails when the connection of the request is lost or the timeout
    /// passes.
    pub(super) async fn await_response<T>(
        &self,
        response: impl IntoFuture<Output = T>,
    ) -> Result<T, NatsError> {
        let (connects, end) = (self.connects(), Instant::now() + self.timeout);
        let mut response = pin!(response.into_future());
        let mut asked = false;
        loop {
            if self.client.connection_state() != State::Connected || self.connects() != connects {
                return Err(if asked {
                    NatsError::ConnectionLost
                } else {
                    NatsError::NotConnected
                });
            }
            if Instant::now() >= end {
                return Err(NatsError::Timeout(self.timeout));
            }
            asked = true;
            if let Ok(response) = tokio::time::timeout(CONNECTION_CHECK, &mut response).await {
                return Ok(response);
            }
        }
    }

    /// Returns how many times the client has connected.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Returns the offset of the entry with sequence number `seq` in the current stream.
    pub(crate) fn offset_of(&self, seq: u64, frame: &Frame) -> Offset {
        let created_at = self.created_at.load(Ordering::Relaxed);
        EntryOffset { created_at, seq, checksum: EntryOffset::checksum(frame) }.into()
    }

    pub(super) fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let mut context = async_nats::jetstream::new(self.client.clone());
            context.set_timeout(self.timeout);
            context
        })
    }

    fn paused_until(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.paused_until)
    }
}

/// Returns whether an existing stream is usable. Its limits may differ, except those that would let
/// a session be taken twice or leave gaps between events.
fn is_compatible(found: &Config, wanted: &Config) -> bool {
    let for_each_subject = |config: &Config| config.max_messages_per_subject.max(0);
    found.subjects == wanted.subjects
        && found.retention == RetentionPolicy::Limits
        && for_each_subject(found) == for_each_subject(wanted)
}

/// Returns when a stream was created, in milliseconds since 1970.
pub(super) fn created_at(stream: &Info) -> u64 {
    // The type of `created` depends on features that other crates may enable.
    let created = SystemTime::from(stream.created).duration_since(SystemTime::UNIX_EPOCH);
    created.map_or(0, |created| u64::try_from(created.as_millis()).unwrap_or(u64::MAX))
}

fn has_code(error: &CreateStreamError, code: ErrorCode) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == code)
}
