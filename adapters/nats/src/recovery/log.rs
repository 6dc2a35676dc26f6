//! The streams, and what is asked of JetStream.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        Context, ErrorCode,
        context::{CreateStreamError, CreateStreamErrorKind, PublishErrorKind},
        message::StreamMessage,
        stream::{Config, Info, RawMessageError, RawMessageErrorKind, RetentionPolicy, Stream},
    },
};
use bytes::Bytes;
use socketio_adapter::{Body, Offset};
use tokio::{sync::Notify, time::Instant};

use super::{offset::Place, options::JetStream};
use crate::{error::NatsError, frame::Frame, subject::Prefix};

/// How often it is looked whether the connection is still that by which something was asked.
const LOOK: Duration = Duration::from_millis(100);

/// The streams of an application.
pub(crate) struct Log {
    pub(super) client: Client,
    pub(super) prefix: Prefix,
    options: JetStream,
    timeout: Duration,
    /// Its making starts a task.
    context: OnceLock<Context>,
    /// When the stream of events was made, as far as is known.
    born: AtomicU64,
    /// Until when nothing is asked: there was no answer the last time.
    stalled: Mutex<Option<Instant>>,
    /// Somebody has found the stream missing, and made it.
    pub(super) made: Notify,
}

/// Whether a message stands in the stream. What asks for an answer does not, nor what answers, nor what may be lost.
pub(crate) fn is_kept(body: &Body) -> bool {
    match body {
        Body::Broadcast { selection, request: None, .. } => !selection.flags.volatile,
        Body::SocketsJoin { .. } | Body::SocketsLeave { .. } | Body::DisconnectSockets { .. } => {
            true
        }
        _ => false,
    }
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
            born: AtomicU64::new(0),
            stalled: Mutex::default(),
            made: Notify::new(),
        }))
    }

    /// Makes the streams that are not there; several nodes may do so at once. Gives that of events.
    pub(crate) async fn prepare(&self) -> Result<Info, NatsError> {
        let (name, subject) = self.prefix.sessions();
        self.stream(self.options.sessions(&name, &subject)).await?;
        self.events().await
    }

    /// The stream of events, which is made if it is not there.
    pub(super) async fn events(&self) -> Result<Info, NatsError> {
        let (name, subject) = self.prefix.log();
        let events = self.stream(self.options.events(&name, &subject)).await?;
        self.born.store(born(&events), Ordering::Relaxed);
        Ok(events)
    }

    async fn stream(&self, config: Config) -> Result<Info, NatsError> {
        let context = self.context();
        let mut made = self.answered(context.get_or_create_stream(config.clone())).await?;
        // Another node has made it meanwhile, with other limits.
        if made.as_ref().is_err_and(|error| has_code(error, ErrorCode::STREAM_NAME_EXIST)) {
            made = self.answered(context.get_or_create_stream(config.clone())).await?;
        }
        let stream = made.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStreamUnavailable => NatsError::NoJetStream,
            CreateStreamErrorKind::TimedOut => NatsError::Timeout(self.timeout),
            _ if has_code(&error, ErrorCode::JETSTREAM_NOT_ENABLED) => NatsError::NoJetStream,
            _ if has_code(&error, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) => {
                NatsError::NoJetStream
            }
            _ => NatsError::JetStream(error.into()),
        })?;
        let info = stream.cached_info();
        if is_ours(&info.config, &config) {
            Ok(info.clone())
        } else {
            Err(NatsError::ForeignStream(config.name))
        }
    }

    /// Appends a message to the stream of its subject, and gives its number: it is stored then.
    pub(crate) async fn append(&self, subject: &str, payload: Bytes) -> Result<u64, NatsError> {
        let stalled = *self.stalled();
        if stalled.is_some_and(|until| Instant::now() < until) {
            return Err(NatsError::Silent);
        }
        let result = match self.try_append(subject, payload.clone()).await {
            Err(NatsError::NoStream) => {
                self.prepare().await?;
                self.made.notify_waiters();
                self.try_append(subject, payload).await
            }
            result => result,
        };
        // Who waits for each of many messages in turn waits for very long.
        let silent = matches!(result, Err(NatsError::Timeout(_)));
        *self.stalled() = silent.then(|| Instant::now() + self.timeout);
        result
    }

    /// JetStream has been heard of: it may be asked again.
    pub(super) fn heard(&self) {
        *self.stalled() = None;
    }

    async fn try_append(&self, subject: &str, payload: Bytes) -> Result<u64, NatsError> {
        let context = self.context();
        let appended = async { context.publish(subject.to_owned(), payload).await?.await };
        self.answered(appended).await?.map(|stored| stored.sequence).map_err(|error| {
            match error.kind() {
                PublishErrorKind::StreamNotFound => NatsError::NoStream,
                PublishErrorKind::TimedOut => NatsError::Timeout(self.timeout),
                _ => NatsError::JetStream(error.into()),
            }
        })
    }

    /// One of the streams, by its name and subject, to ask for something in it.
    pub(super) async fn stream_of(&self, names: (String, String)) -> Result<Stream<()>, NatsError> {
        let stream = self.context().get_stream_no_info(names.0).await;
        stream.map_err(|error| NatsError::JetStream(error.into()))
    }

    /// What is found by one of the ways to ask for an entry.
    pub(super) async fn found(
        &self,
        entry: impl Future<Output = Result<StreamMessage, RawMessageError>>,
    ) -> Result<Option<StreamMessage>, NatsError> {
        match self.answered(entry).await? {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(NatsError::JetStream(error.into())),
        }
    }

    /// Waits for an answer as long as the connection lasts by which it was asked for.
    pub(super) async fn answered<T>(
        &self,
        answer: impl IntoFuture<Output = T>,
    ) -> Result<T, NatsError> {
        let (connects, end) = (self.connects(), Instant::now() + self.timeout);
        let mut answer = pin!(answer.into_future());
        let mut asked = false;
        loop {
            if self.client.connection_state() != State::Connected || self.connects() != connects {
                return Err(if asked { NatsError::Lost } else { NatsError::Away });
            }
            if Instant::now() >= end {
                return Err(NatsError::Timeout(self.timeout));
            }
            asked = true;
            if let Ok(answer) = tokio::time::timeout(LOOK, &mut answer).await {
                return Ok(answer);
            }
        }
    }

    /// How often a connection was made.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Where an entry of this number stands, in the stream as it is known.
    pub(crate) fn place(&self, seq: u64, frame: &Frame) -> Offset {
        let born = self.born.load(Ordering::Relaxed);
        Place { born, seq, sum: Place::sum(frame) }.into()
    }

    pub(super) fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let mut context = async_nats::jetstream::new(self.client.clone());
            context.set_timeout(self.timeout);
            context
        })
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a stream does what is expected of it. Limits may differ, but where sessions could be taken twice, or events be missing
/// from the middle.
fn is_ours(found: &Config, wanted: &Config) -> bool {
    let for_each_subject = |config: &Config| config.max_messages_per_subject.max(0);
    found.subjects == wanted.subjects
        && found.retention == RetentionPolicy::Limits
        && for_each_subject(found) == for_each_subject(wanted)
}

/// When a stream was made, in milliseconds.
pub(super) fn born(stream: &Info) -> u64 {
    // What the type of a time is depends on features that others may turn on.
    let made = SystemTime::from(stream.created).duration_since(SystemTime::UNIX_EPOCH);
    made.map_or(0, |made| u64::try_from(made.as_millis()).unwrap_or(u64::MAX))
}

fn has_code(error: &CreateStreamError, code: ErrorCode) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == code)
}
