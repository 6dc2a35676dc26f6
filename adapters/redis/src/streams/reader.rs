//! One reader per stream, shared by all namespaces. It has a connection of its own, because its
//! reads block.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use redis::{Cmd, RedisError, RedisResult, cmd};
use socketio_adapter::{
    AdapterError, ClusterLimits, ClusterMember, Inbox, Message, MessageError,
    internal::{is_event, lock},
};
use tokio::sync::watch;

use super::entry::{Entry, StreamId};
use crate::{
    command_connection::connect,
    conn::{Conn, Connector, Target},
    refusals::is_denied,
};

pub(super) struct Reader {
    pub(super) stream: String,
    members: Mutex<Vec<Arc<Member>>>,
    position: watch::Sender<Position>,
}

#[derive(Clone, Default)]
struct Position {
    /// The last entry that was read. `None` before the first connection.
    read: Option<StreamId>,
    /// Why Redis refuses to let the stream be read, if it does.
    refusal: Option<Arc<RedisError>>,
}

/// Redis refuses to let a stream be read.
#[derive(Debug, thiserror::Error)]
#[error("Redis refuses to let the stream `{stream}` be read: {error}")]
struct StreamRefused {
    stream: String,
    #[source]
    error: Arc<RedisError>,
}

/// The first and the longest pause before a refused stream is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// A namespace that reads the stream.
struct Member {
    node: ClusterMember,
    inbox: Arc<dyn Inbox>,
    beginning: Mutex<Beginning>,
}

/// The entry after which a namespace gets entries.
enum Beginning {
    /// It is not known yet. Entries wait until it is.
    Unknown(Vec<Delivery>),
    /// The last entry before the namespace joined.
    After(StreamId),
}

struct Delivery {
    id: StreamId,
    message: Result<Message, MessageError>,
}

/// A namespace that is joining. Dropping it before it begins removes the namespace.
pub(super) struct JoiningMember<'a> {
    reader: &'a Reader,
    member: Arc<Member>,
}

impl JoiningMember<'_> {
    /// Delivers the entries after `last` to the namespace from now on.
    pub(super) fn begin_after(self, last: StreamId) {
        let mut beginning = lock(&self.member.beginning);
        // The lock is held meanwhile, so that no later entry comes first.
        if let Beginning::Unknown(waiting) =
            std::mem::replace(&mut *beginning, Beginning::After(last))
        {
            let due = waiting.into_iter().filter(|delivery| delivery.id > last);
            due.for_each(|delivery| self.member.receive(delivery));
        }
    }
}

impl Drop for JoiningMember<'_> {
    fn drop(&mut self) {
        if matches!(&*lock(&self.member.beginning), Beginning::Unknown(_)) {
            self.reader.remove(&self.member.node);
        }
    }
}

impl Member {
    /// Lets the namespace take an event of this node without decoding it.
    fn take_own(&self, entry: &Entry) -> bool {
        entry
            .own_event(&self.node.uid)
            .is_some_and(|number| self.inbox.receive_own(number, &entry.id.to_string().into()))
    }

    fn deliver(&self, delivery: Delivery) {
        let mut beginning = lock(&self.beginning);
        match &mut *beginning {
            Beginning::Unknown(waiting) => waiting.push(delivery),
            Beginning::After(last) if delivery.id > *last => {
                drop(beginning);
                self.receive(delivery);
            }
            Beginning::After(_) => {}
        }
    }

    fn receive(&self, Delivery { id, message }: Delivery) {
        match message {
            // A node has already executed its own requests, except for broadcasts.
            Ok(message) if message.uid == self.node.uid && !is_event(&message.body) => {}
            Ok(message) => self.inbox.receive(message, Some(id.to_string().into())),
            Err(error) => self.inbox.undecodable(&error),
        }
    }
}

/// Configuration of a reader.
#[derive(Clone)]
pub(super) struct ReaderConfig {
    pub(super) connector: Connector,
    pub(super) limits: ClusterLimits,
    pub(super) count: u32,
    /// At least 1 ms, because zero would block forever.
    pub(super) block: Duration,
}

impl Reader {
    pub(super) fn new(stream: String) -> Self {
        Self { stream, members: Mutex::default(), position: watch::Sender::default() }
    }

    /// Waits until the reader has started to read.
    pub(super) async fn ready(&self) -> Result<(), AdapterError> {
        let mut position = self.position.subscribe();
        let changed = position.wait_for(|it| it.read.is_some() || it.refusal.is_some()).await;
        // The sender lives in `self`.
        match changed.ok().and_then(|position| position.refusal.clone()) {
            Some(error) => {
                let stream = self.stream.clone();
                Err(AdapterError::Denied(Box::new(StreamRefused { stream, error })))
            }
            None => Ok(()),
        }
    }

    /// Adds a namespace. It gets no entry before [`JoiningMember::begin_after`].
    pub(super) fn add(&self, node: ClusterMember, inbox: Arc<dyn Inbox>) -> JoiningMember<'_> {
        let beginning = Beginning::Unknown(Vec::new()).into();
        let member = Arc::new(Member { node, inbox, beginning });
        lock(&self.members).push(member.clone());
        JoiningMember { reader: self, member }
    }

    pub(super) fn remove(&self, node: &ClusterMember) {
        let mut members = lock(&self.members);
        let at = members.iter().position(|member| member.node == *node);
        let removed = at.map(|at| members.swap_remove(at));
        drop(members);
        drop(removed);
    }

    /// Reads until the reader is dropped.
    pub(super) async fn run(reader: Weak<Self>, reading: ReaderConfig) {
        let mut pause = RETRY_PAUSE;
        while let Some(stream) = reader.upgrade().map(|reader| reader.stream.clone()) {
            let connector = reading.connector.clone().with_extra_response_time(reading.block);
            let conn = connect(&connector, Target::EveryNode, Arc::new(|_| {})).await;
            let Err(error) = read(&reader, &reading, conn).await else { continue };
            if !is_denied(&error) {
                tracing::warn!(target: "socketio::redis", %stream, %error, "cannot read the stream");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let Some(reader) = reader.upgrade() else { return };
            let first = reader.position.borrow().refusal.is_none();
            pause = if first { RETRY_PAUSE } else { (pause * 2).min(MAX_RETRY_PAUSE) };
            if first && !lock(&reader.members).is_empty() {
                tracing::warn!(target: "socketio::redis", %stream, %error, "cannot read the stream");
            }
            reader.position.send_modify(|position| position.refusal = Some(Arc::new(error)));
            drop(reader);
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns the position from which to read: at first the end of the stream, after a lost
    /// connection the last position. If the stream was lost too, reads from its current end.
    fn start_position(&self, last: StreamId) -> StreamId {
        let position = self.position.borrow().read.map_or(last, |position| position.min(last));
        self.position.send_replace(Position { read: Some(position), refusal: None });
        position
    }

    fn deliver(&self, entry: &Entry, limits: &ClusterLimits) {
        self.position.send_modify(|position| position.read = Some(entry.id));
        let Some(nsp) = entry.text("nsp") else { return };
        let members: Vec<_> = {
            let members = lock(&self.members);
            let reads = |member: &&Arc<Member>| member.node.nsp == *nsp;
            members.iter().filter(reads).cloned().collect()
        };
        if members.is_empty() {
            return;
        }
        for member in members {
            if !member.take_own(entry) {
                member.deliver(Delivery { id: entry.id, message: entry.message(limits) });
            }
        }
    }
}

/// Reads until the connection is lost or the reader is dropped.
async fn read(reader: &Weak<Reader>, reading: &ReaderConfig, mut conn: Conn) -> RedisResult<()> {
    let Some(stream) = reader.upgrade().map(|reader| reader.stream.clone()) else { return Ok(()) };
    let last = last_id(conn.query(&read_last(&stream)).await?);
    // A user may be allowed XREVRANGE but not XREAD. Only a node that may read has joined.
    conn.query(&xread(&stream, last, reading, None)).await?;
    let Some(mut position) = reader.upgrade().map(|reader| reader.start_position(last)) else {
        return Ok(());
    };
    loop {
        let next = xread(&stream, position, reading, Some(reading.block));
        let entries = Entry::of_one_stream(conn.query(&next).await?);
        let Some(reader) = reader.upgrade() else { return Ok(()) };
        for entry in entries {
            reader.deliver(&entry, &reading.limits);
            position = entry.id;
        }
    }
}

/// Returns the command that reads the entries after `position`, and waits for one if `block` is set.
fn xread(stream: &str, position: StreamId, reading: &ReaderConfig, block: Option<Duration>) -> Cmd {
    let mut command = cmd("XREAD");
    if let Some(block) = block {
        command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX));
    }
    command.arg("COUNT").arg(reading.count);
    command.arg("STREAMS").arg(stream).arg(position.to_string());
    command
}

/// Returns the command that reads the last entry.
pub(super) fn read_last(stream: &str) -> Cmd {
    let mut command = cmd("XREVRANGE");
    command.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
    command
}

pub(super) fn last_id(response: redis::Value) -> StreamId {
    Entry::list(response).first().map(|entry| entry.id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use redis::Value;
    use socketio_adapter::Offset;
    use socketio_parser::Nsp;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<Offset>>);

    impl Inbox for Seen {
        fn receive(&self, _: Message, offset: Option<Offset>) {
            lock(&self.0).extend(offset);
        }

        fn undecodable(&self, _: &MessageError) {
            lock(&self.0).push("undecodable".into());
        }
    }

    fn entry(id: &str) -> Entry {
        let text = |text: &str| Value::BulkString(text.into());
        let fields = ["nsp", "/", "uid", "other", "type", "3", "data", "{}"].map(text).to_vec();
        let entries = Value::Array(vec![Value::Array(vec![text(id), Value::Array(fields)])]);
        Entry::list(entries).pop().unwrap()
    }

    #[test]
    fn entries_that_are_appended_while_a_namespace_joins_are_delivered() {
        let (reader, seen) = (Reader::new("stream".into()), Arc::new(Seen::default()));
        let limits = ClusterLimits::default();
        let node = ClusterMember { nsp: Nsp::root(), uid: "node".into() };
        reader.deliver(&entry("1-0"), &limits);
        let joining = reader.add(node.clone(), seen.clone());
        // The first of these was in the stream when its end was read.
        reader.deliver(&entry("2-0"), &limits);
        reader.deliver(&entry("3-0"), &limits);
        joining.begin_after(StreamId::parse("2-0").unwrap());
        reader.deliver(&entry("4-0"), &limits);
        assert_eq!(lock(&seen.0).len(), 2);
        // A namespace that fails to join is removed.
        drop(reader.add(node, seen.clone()));
        assert_eq!(lock(&reader.members).len(), 1);
    }
}
