//! The store of sessions that every node can restore. Sessions are keys beside the stream.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::{Cmd, Value, cmd};
use socketio_adapter::{
    AdapterError, BoxFuture, NodeId, Offset,
    recovery::{
        CompareAndSet, Found, MissedEvent, Page, PageSize, RefusedSession, SavedSession,
        SessionStore, StoredSession, TakeOutcome, encode_sessions,
    },
};
use socketio_parser::Nsp;

use super::entry::{Entry, StreamId};
use crate::{
    command_connection::{engine, unexpected},
    engine::Engine,
};

/// Number of entries that are read at once.
const COUNT: usize = 500;

/// Replaces a value if it is still the expected one; an empty text stands for no value. Returns 1,
/// or the present value.
const REPLACE: &str = "local v = redis.call('GET', KEYS[1]) or '' \
    if v ~= ARGV[1] then return v end \
    if ARGV[2] == '' then redis.call('DEL', KEYS[1]) \
    else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end \
    return 1";

/// How often a value is replaced that other nodes replace at the same time.
const ATTEMPTS: usize = 8;

pub(super) struct Sessions {
    pub(super) engine: Arc<Engine>,
    pub(super) nsp: Nsp,
    pub(super) stream: String,
    pub(super) prefix: String,
}

/// The stream has been trimmed beyond the offset.
#[derive(Debug, thiserror::Error)]
#[error("the stream has been trimmed beyond the offset")]
struct Trimmed;

impl Sessions {
    async fn range(&self, from: &str, to: &str, count: usize) -> Result<Vec<Entry>, AdapterError> {
        let mut range = cmd("XRANGE");
        range.arg(&self.stream).arg(from).arg(to).arg("COUNT").arg(count);
        self.engine.keys.query(&range).await.map(Entry::list)
    }

    fn key(&self, pid: &str) -> String {
        format!("{}{pid}", self.prefix)
    }

    fn replace(&self, pid: &str, old: &[u8], new: &str, ttl: Duration) -> Cmd {
        let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, MAX_MS);
        let mut replace = cmd("EVAL");
        replace.arg(REPLACE).arg(1).arg(self.key(pid)).arg(old).arg(new).arg(ms);
        replace
    }

    fn decode(&self, session: &[u8]) -> Result<SavedSession, AdapterError> {
        let session = STANDARD.decode(session).map_err(engine)?;
        SavedSession::from_msgpack(&session, &self.engine.limits).map_err(engine)
    }

    /// Returns whether a value may be replaced by a session of this epoch. A malformed value may.
    fn is_replaceable(&self, value: &[u8], epoch: u64) -> bool {
        self.decode(value).map_or(0, |stored| stored.epoch) <= epoch
    }

    /// Stores sessions, except those that it returns. The values that are there already are replaced
    /// in a second round.
    async fn write_batch(
        &self,
        sessions: &[SavedSession],
        ttl: Duration,
    ) -> Result<Vec<RefusedSession>, AdapterError> {
        let (sessions, refused) = encode_sessions(sessions, &self.engine.limits);
        let sessions =
            sessions.into_iter().map(|(session, bytes)| (session, STANDARD.encode(bytes)));
        let sessions: Vec<_> = sessions.collect();
        let mut missing: Vec<_> = sessions.iter().map(|session| (session, Vec::new())).collect();
        for _ in 0..ATTEMPTS {
            if missing.is_empty() {
                return Ok(refused);
            }
            let replace = missing
                .iter()
                .map(|((session, new), old)| self.replace(&session.pid, old, new, ttl))
                .collect();
            let results = self.engine.keys.query_all(replace).await;
            let mut changed = Vec::new();
            for ((session, _), result) in missing.into_iter().zip(results) {
                if let Some(value) = present(result?)
                    && self.is_replaceable(&value, session.0.epoch)
                {
                    changed.push((session, value));
                }
            }
            missing = changed;
        }
        if missing.is_empty() {
            Ok(refused)
        } else {
            Err(unexpected("a session that changes all the time"))
        }
    }

    /// Returns the broadcast in an entry if it belongs to this namespace.
    fn missed(&self, entry: &Entry) -> Option<MissedEvent> {
        if entry.text("nsp") != Some(self.nsp.as_str()) || entry.text("type") != Some("3") {
            return None;
        }
        MissedEvent::new(entry.message(&self.engine.limits).ok()?, entry.id.to_string())
    }
}

/// The version is the value of the key.
impl CompareAndSet for Sessions {
    type Version = Vec<u8>;
    type Error = AdapterError;

    async fn find(&self, pid: &str) -> Found<Vec<u8>, AdapterError> {
        let mut get = cmd("GET");
        get.arg(self.key(pid));
        match self.engine.keys.query(&get).await? {
            Value::BulkString(version) => {
                let session = self.decode(&version).map(Some);
                Ok(Some(StoredSession { version, session }))
            }
            Value::Nil => Ok(None),
            _ => Err(unexpected("a session that is not text")),
        }
    }

    async fn delete(&self, pid: &str, old: Vec<u8>) -> Result<bool, AdapterError> {
        let replace = self.replace(pid, &old, "", Duration::ZERO);
        Ok(present(self.engine.keys.query(&replace).await?).is_none())
    }
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let mut refused = self.write_batch(&[session], ttl).await?;
            refused.pop().map_or(Ok(()), |refused| Err(refused.error))
        })
    }

    fn persist_all(
        &self,
        sessions: Vec<SavedSession>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Vec<RefusedSession>, AdapterError>> {
        Box::pin(async move {
            let mut refused = Vec::new();
            for batch in sessions.chunks(self.engine.keys.max_batch()) {
                refused.append(&mut self.write_batch(batch, ttl).await?);
            }
            Ok(refused)
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(self.remove(pid, epoch))
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            let Some(offset) = StreamId::parse(offset).map(|offset| offset.to_string()) else {
                return Ok(TakeOutcome::Missing);
            };
            if self.range(&offset, &offset, 1).await?.is_empty() {
                return Ok(TakeOutcome::Missing);
            }
            self.claim(pid, |session| session.claimed(&self.nsp, gone)).await
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let after = StreamId::parse(offset).ok_or_else(|| engine(Trimmed))?;
            let entries = self.range(&after.next().to_string(), "+", COUNT).await?;
            // Checked after reading: if the first entry is old enough now, nothing was trimmed
            // before.
            match self.range("-", "+", 1).await?.first() {
                Some(first) if first.id <= after => {}
                _ => return Err(engine(Trimmed)),
            }
            let mut page = Page { events: Vec::new(), end: offset.clone(), has_more: false };
            let (mut bytes, all) = (0_usize, entries.len() < COUNT);
            let mut entries = entries.iter();
            for entry in entries.by_ref() {
                let missed = self.missed(entry);
                page.end = entry.id.to_string().into();
                if let Some(missed) = missed {
                    bytes = bytes.saturating_add(entry.bytes());
                    page.events.push(missed);
                }
                if page.events.len() >= size.packets || bytes >= size.bytes {
                    break;
                }
            }
            page.has_more = !all || entries.next().is_some();
            Ok(page)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        StreamId::parse(offset) > StreamId::parse(other)
    }
}

/// Returns the value that was there instead of the expected one.
fn present(response: Value) -> Option<Vec<u8>> {
    match response {
        Value::BulkString(value) => Some(value),
        _ => None,
    }
}

/// Longest time to live in milliseconds that Redis accepts, about 100 years.
const MAX_MS: u64 = 3_155_760_000_000;
