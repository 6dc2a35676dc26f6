//! Streams, like `@socket.io/redis-streams-adapter` 0.3: broadcasts are entries of a stream that
//! all nodes read. Requests and replies travel over pub/sub.

mod entry;
mod reader;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bytes::Bytes;
use redis::{Cmd, Value, cmd};
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterLimits, ClusterMember, Inbox, Link, Message, MessageError,
    NodeId, Offset, Published,
    internal::{bounded_timeout, lock},
    recovery::SessionStore,
};
use tokio::time::timeout;

use self::{
    reader::{Reader, ReaderConfig},
    store::Sessions,
};
use crate::{
    command_connection::{CommandConnection, engine, unexpected},
    engine::{Engine, Subscriptions, publish},
    nodes::{ConfigError, Nodes},
    options::{Common, common, options},
    sharded::on_message,
    subscriber::{Kind, Topic},
};

/// Options of [`RedisAdapter::streams`](crate::RedisAdapter::streams).
#[derive(Clone, Debug)]
#[must_use]
pub struct Streams {
    pub(crate) nodes: Nodes,
    pub(crate) common: Common,
    stream_name: String,
    stream_count: u16,
    channel_prefix: String,
    use_sharded_pub_sub: bool,
    max_len: u64,
    read_count: u32,
    block_time: Duration,
    session_key_prefix: String,
    only_plaintext: bool,
}

impl Streams {
    pub(crate) fn new(nodes: Nodes) -> Self {
        Self {
            nodes,
            common: Common::default(),
            stream_name: String::from("socket.io"),
            stream_count: 1,
            channel_prefix: String::from("socket.io"),
            use_sharded_pub_sub: false,
            max_len: 10_000,
            read_count: 100,
            block_time: Duration::from_secs(5),
            session_key_prefix: String::from("sio:session:"),
            only_plaintext: false,
        }
    }

    options! {
        /// Sets the name of the stream (default `socket.io`).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").stream_name("chat");
        /// ```
        stream_name: String;
        /// Sets over how many streams the namespaces are spread, by a hash of their names (default
        /// 1). If the hash of a namespace is negative, Node's servers write to its stream but never
        /// read it.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").stream_count(4_u16);
        /// ```
        stream_count: u16;
        /// Sets the prefix of the channels for requests (default `socket.io`).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").channel_prefix("chat");
        /// ```
        channel_prefix: String;
        /// Sets whether requests use sharded pub/sub (default `false`). Needs Redis 7 or newer.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").use_sharded_pub_sub(true);
        /// ```
        use_sharded_pub_sub: bool;
        /// Sets about how many entries a stream keeps (default 10 000). Sessions can be recovered
        /// as long as their last event is kept.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").max_len(100_000_u64);
        /// ```
        max_len: u64;
        /// Sets how many entries are read at once (default 100).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").read_count(500_u32);
        /// ```
        read_count: u32;
        /// Sets how long one read waits for entries (default 5 s, at least 1 ms). Entries are
        /// delivered at once in any case. The reader has a connection of its own.
        ///
        /// ```
        /// use std::time::Duration;
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options =
        ///     RedisAdapter::streams("redis://127.0.0.1").block_time(Duration::from_secs(1));
        /// ```
        block_time: Duration;
        /// Sets the prefix of the keys of sessions (default `sio:session:`).
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options =
        ///     RedisAdapter::streams("redis://127.0.0.1").session_key_prefix("chat:session:");
        /// ```
        session_key_prefix: String;
        /// Sets whether the adapter may assume that no message contains binary (default `false`).
        /// If so, it does not search for binary, and any binary becomes `null`.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::streams("redis://127.0.0.1").only_plaintext(true);
        /// ```
        only_plaintext: bool;
    }

    common!();

    /// Returns the command by which a program without a server publishes a message. It appends
    /// every message to the stream.
    pub(crate) fn publication(
        &self,
        message: &Message,
        limits: &ClusterLimits,
    ) -> Result<Cmd, MessageError> {
        let nsp = message.nsp.as_str();
        let stream = entry::stream_for(&self.stream_name, self.stream_count, nsp);
        entry::append(&stream, self.max_len, self.only_plaintext, message, limits)
    }
}

/// State shared by all namespaces of a server.
pub(crate) struct StreamsEngine {
    options: Streams,
    engine: Arc<Engine>,
    readers: Mutex<HashMap<String, Weak<Reader>>>,
}

impl StreamsEngine {
    pub(crate) fn new(options: &Streams, engine: Arc<Engine>) -> Result<Arc<Self>, ConfigError> {
        if options.stream_count == 0 {
            return Err(ConfigError::NoStreams);
        }
        let readers = Mutex::default();
        Ok(Arc::new(Self { options: options.clone(), engine, readers }))
    }

    pub(crate) async fn join(
        self: &Arc<Self>,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Arc<dyn Link>, AdapterError> {
        let (options, redis) = (&self.options, &self.engine);
        redis.start_node().await?;
        redis.start_keys().await?;
        let kind = if options.use_sharded_pub_sub { Kind::Sharded } else { Kind::Plain };
        let public = format!("{}#{}#", options.channel_prefix, member.nsp);
        let private = format!("{public}{}#", member.uid);
        let on_message = on_message(&member, inbox.clone(), redis.limits.clone());
        let topics = [&public, &private].map(|name| {
            let name = Bytes::copy_from_slice(name.as_bytes());
            (Topic { kind, name }, on_message.clone())
        });
        let subscriptions = redis.subscribe(redis.number(), topics.into()).await?;
        let stream =
            entry::stream_for(&options.stream_name, options.stream_count, member.nsp.as_str());
        let reader = self.reader(&stream);
        let timeouts = redis.connector.timeouts();
        let reading = timeout(timeouts.connection + timeouts.response, reader.ready());
        reading.await.map_err(engine)??;
        // Entries that are appended from now on are delivered, even while the last one is read.
        let joining = reader.add(member.clone(), inbox);
        joining.begin_after(reader::last_id(redis.keys.query(&reader::read_last(&stream)).await?));
        let sessions = Arc::new(Sessions {
            engine: redis.clone(),
            nsp: member.nsp.clone(),
            stream,
            prefix: options.session_key_prefix.clone(),
        });
        let streams = self.clone();
        Ok(Arc::new(StreamsLink { streams, member, public, reader, subscriptions, sessions }))
    }

    /// Returns the reader of a stream. Starts it if necessary.
    fn reader(&self, stream: &str) -> Arc<Reader> {
        let mut readers = lock(&self.readers);
        if let Some(reader) = readers.get(stream).and_then(Weak::upgrade) {
            return reader;
        }
        let reader = Arc::new(Reader::new(stream.to_owned()));
        readers.insert(stream.to_owned(), Arc::downgrade(&reader));
        let reading = ReaderConfig {
            connector: self.engine.connector.clone(),
            limits: self.engine.limits.clone(),
            count: self.options.read_count.max(1),
            block: bounded_timeout(self.options.block_time),
        };
        self.engine.spawn(Reader::run(Arc::downgrade(&reader), reading));
        reader
    }
}

struct StreamsLink {
    streams: Arc<StreamsEngine>,
    member: ClusterMember,
    public: String,
    reader: Arc<Reader>,
    subscriptions: Subscriptions,
    sessions: Arc<Sessions>,
}

impl StreamsLink {
    /// Returns the command that publishes, the subcommand that counts subscribers, and the
    /// connection for both.
    fn pub_sub(&self) -> (&'static str, &'static str, &CommandConnection) {
        let engine = &self.streams.engine;
        if self.streams.options.use_sharded_pub_sub {
            ("SPUBLISH", "SHARDNUMSUB", &engine.keys)
        } else {
            ("PUBLISH", "NUMSUB", &engine.node)
        }
    }

    fn append(&self, message: &Message) -> Result<Cmd, MessageError> {
        let StreamsEngine { options, engine, .. } = &*self.streams;
        let (stream, max_len) = (&self.reader.stream, options.max_len);
        entry::append(stream, max_len, options.only_plaintext, message, &engine.limits)
    }

    async fn append_all(&self, entries: Vec<Cmd>) -> Vec<Published> {
        let left = || self.subscriptions.check().err().map(Err);
        if left().is_some() {
            return entries.iter().filter_map(|_| left()).collect();
        }
        let responses = self.streams.engine.keys.query_all(entries).await;
        responses.into_iter().map(|response| offset(response?).map(Some)).collect()
    }

    async fn send(&self, channel: &str, message: &Message) -> Result<(), AdapterError> {
        self.subscriptions.check()?;
        let (command, _, connection) = self.pub_sub();
        let limits = &self.streams.engine.limits;
        let publish = publish(command, channel, &message.to_msgpack(), limits)?;
        connection.query(&publish).await.map(drop)
    }
}

/// Returns the offset of an entry from the response to XADD.
fn offset(response: Value) -> Result<Offset, AdapterError> {
    let id = match response {
        Value::BulkString(id) => String::from_utf8(id).ok(),
        Value::SimpleString(id) => Some(id),
        _ => None,
    };
    id.map(Offset::from).ok_or_else(|| unexpected("an entry without an id"))
}

impl Link for StreamsLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.subscriptions.check()?;
            if !entry::is_entry(&message.body) {
                self.send(&self.public, &message).await?;
                return Ok(None);
            }
            let entry = self.append(&message)?;
            offset(self.streams.engine.keys.query(&entry).await?).map(Some)
        })
    }

    fn max_batch(&self) -> usize {
        self.streams.engine.keys.max_batch()
    }

    fn publish_all(&self, messages: Vec<Message>) -> BoxFuture<'_, Vec<Published>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(messages.len());
            let mut appended = Vec::new();
            // Messages outside the stream are published separately, after all earlier messages have
            // been appended.
            for message in messages {
                let result = if !entry::is_entry(&message.body) {
                    results.extend(self.append_all(std::mem::take(&mut appended)).await);
                    self.publish(message).await
                } else {
                    match self.append(&message) {
                        Ok(entry) => {
                            appended.push(entry);
                            continue;
                        }
                        Err(error) => {
                            results.extend(self.append_all(std::mem::take(&mut appended)).await);
                            Err(error.into())
                        }
                    }
                };
                results.push(result);
            }
            results.extend(self.append_all(appended).await);
            results
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move { self.send(&format!("{}{to}#", self.public), &message).await })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            let (_, command, _) = self.pub_sub();
            let mut count = cmd("PUBSUB");
            count.arg(command).arg(&self.public);
            let masters = self.streams.options.use_sharded_pub_sub;
            Ok(self.streams.engine.keys.sum_of_nodes(count, masters).await?.max(1))
        })
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        Some(self.sessions.clone())
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.reader.remove(&self.member);
            self.subscriptions.end();
        })
    }
}

impl Drop for StreamsLink {
    fn drop(&mut self) {
        self.reader.remove(&self.member);
    }
}
