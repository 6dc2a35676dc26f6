//! One reader per stream, which all namespaces share. It has a connection of its own, since it waits on it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use redis::{Cmd, RedisError, RedisResult, cmd};
use socketio_adapter::{AdapterError, Body, ClusterLimits, Inbox, Seat};
use tokio::sync::watch;

use super::entry::{Entry, StreamId};
use crate::{
    conn::{Conn, Dial, Reach},
    lane::connect,
    refusals::is_denied,
};

pub(super) struct Reader {
    pub(super) stream: String,
    seats: Mutex<Vec<Arc<Seated>>>,
    position: watch::Sender<Position>,
}

#[derive(Clone, Default)]
struct Position {
    /// How far it has read. Nothing before the first connection.
    read: Option<StreamId>,
    /// Why Redis does not let it read, if it does not.
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

/// The first pause before a refused stream is tried again, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A namespace that reads along.
struct Seated {
    seat: Seat,
    /// What stands before was there before the node was.
    after: StreamId,
    inbox: Arc<dyn Inbox>,
}

/// How a reader reads.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) dial: Dial,
    pub(super) limits: ClusterLimits,
    pub(super) count: u32,
    pub(super) block: Duration,
}

impl Reader {
    pub(super) fn new(stream: String) -> Self {
        Self { stream, seats: Mutex::default(), position: watch::Sender::default() }
    }

    /// Waits until it reads.
    pub(super) async fn reading(&self) -> Result<(), AdapterError> {
        let mut position = self.position.subscribe();
        let told = position.wait_for(|it| it.read.is_some() || it.refusal.is_some()).await;
        // The sender lives in `self`.
        match told.ok().and_then(|position| position.refusal.clone()) {
            Some(error) => {
                let stream = self.stream.clone();
                Err(AdapterError::Denied(Box::new(StreamRefused { stream, error })))
            }
            None => Ok(()),
        }
    }

    pub(super) fn add(&self, seat: Seat, after: StreamId, inbox: Arc<dyn Inbox>) {
        self.seats().push(Arc::new(Seated { seat, after, inbox }));
    }

    pub(super) fn remove(&self, seat: &Seat) {
        let mut seats = self.seats();
        let at = seats.iter().position(|seated| seated.seat == *seat);
        let removed = at.map(|at| seats.swap_remove(at));
        drop(seats);
        drop(removed);
    }

    /// Reads as long as somebody has the reader.
    pub(super) async fn run(reader: Weak<Self>, reading: Reading) {
        let mut pause = PAUSE;
        while let Some(stream) = reader.upgrade().map(|reader| reader.stream.clone()) {
            let dial = reading.dial.clone().slower(reading.block);
            let conn = connect(&dial, Reach::EveryNode, Arc::new(|_| {})).await;
            let Err(error) = read(&reader, &reading, conn).await else { continue };
            if !is_denied(&error) {
                tracing::warn!(target: "socketio::redis", %stream, %error, "cannot read the stream");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let Some(reader) = reader.upgrade() else { return };
            let first = reader.position.borrow().refusal.is_none();
            pause = if first { PAUSE } else { (pause * 2).min(LONGEST) };
            if first && !reader.seats().is_empty() {
                tracing::warn!(target: "socketio::redis", %stream, %error, "cannot read the stream");
            }
            reader.position.send_modify(|position| position.refusal = Some(Arc::new(error)));
            drop(reader);
            tokio::time::sleep(pause).await;
        }
    }

    /// Begins at the end. After a connection was lost it goes on where it was, unless the stream was, too.
    fn begin(&self, last: StreamId) -> StreamId {
        let position = self.position.borrow().read.map_or(last, |position| position.min(last));
        self.position.send_replace(Position { read: Some(position), refusal: None });
        position
    }

    fn deliver(&self, entry: &Entry, limits: &ClusterLimits) {
        self.position.send_modify(|position| position.read = Some(entry.id));
        let Some(nsp) = entry.text("nsp") else { return };
        let seats: Vec<_> = {
            let seats = self.seats();
            let reads = |seated: &&Arc<Seated>| seated.seat.nsp == *nsp && seated.after < entry.id;
            seats.iter().filter(reads).cloned().collect()
        };
        if seats.is_empty() {
            return;
        }
        let message = entry.message(limits);
        for seated in seats {
            match &message {
                // A node has done what it asks of all when it has asked, but for broadcasts.
                Ok(message) if message.uid == seated.seat.uid && !is_broadcast(&message.body) => {}
                Ok(message) => {
                    seated.inbox.receive(message.clone(), Some(entry.id.to_string().into()));
                }
                Err(error) => seated.inbox.garbage(error),
            }
        }
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<Seated>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the connection is lost, or nobody has the reader.
async fn read(reader: &Weak<Reader>, reading: &Reading, mut conn: Conn) -> RedisResult<()> {
    let Some(stream) = reader.upgrade().map(|reader| reader.stream.clone()) else { return Ok(()) };
    let last = last_id(conn.query(&newest(&stream)).await?);
    let Some(mut position) = reader.upgrade().map(|reader| reader.begin(last)) else {
        return Ok(());
    };
    loop {
        let mut xread = cmd("XREAD");
        xread.arg("BLOCK").arg(millis(reading.block)).arg("COUNT").arg(reading.count);
        xread.arg("STREAMS").arg(&stream).arg(position.to_string());
        let entries = Entry::of_one_stream(conn.query(&xread).await?);
        let Some(reader) = reader.upgrade() else { return Ok(()) };
        for entry in entries {
            reader.deliver(&entry, &reading.limits);
            position = entry.id;
        }
    }
}

fn is_broadcast(body: &Body) -> bool {
    matches!(body, Body::Broadcast { request: None, .. })
}

/// Zero would be for ever.
fn millis(block: Duration) -> u64 {
    u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Asks for the last entry.
pub(super) fn newest(stream: &str) -> Cmd {
    let mut newest = cmd("XREVRANGE");
    newest.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

pub(super) fn last_id(answer: redis::Value) -> StreamId {
    Entry::list(answer).first().map(|entry| entry.id).unwrap_or_default()
}
