//! The store of sessions that every node can restore. Sessions are keys beside the stream.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::{Cmd, Value, cmd};
use socketio_adapter::{
    AdapterError, Body, BoxFuture, NodeId, Offset,
    recovery::{Missed, Page, PageSize, SavedSession, SessionStore},
};
use socketio_parser::Nsp;

use super::entry::{Entry, StreamId};
use crate::{
    command_connection::{engine, unexpected},
    engine::Engine,
};

/// Number of entries that are read at once.
const COUNT: usize = 500;

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

    fn set(&self, session: &SavedSession, ttl: Duration) -> Cmd {
        let value = STANDARD.encode(session.to_msgpack());
        let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, MAX_MS);
        let mut set = cmd("SET");
        set.arg(self.key(&session.pid)).arg(value).arg("PX").arg(ms);
        set
    }

    fn decode(&self, session: Value) -> Result<Option<SavedSession>, AdapterError> {
        let session = match session {
            Value::BulkString(session) => STANDARD.decode(session).map_err(engine)?,
            Value::Nil => return Ok(None),
            _ => return Err(unexpected("a session that is no text")),
        };
        SavedSession::from_msgpack(&session, &self.engine.limits).map(Some).map_err(engine)
    }

    fn get_del(&self, pid: &str) -> Cmd {
        let mut take = cmd("GETDEL");
        take.arg(self.key(pid));
        take
    }

    /// Returns the broadcast in an entry if it belongs to this namespace.
    fn missed(&self, entry: &Entry) -> Option<Missed> {
        if entry.text("nsp") != Some(self.nsp.as_str()) || entry.text("type") != Some("3") {
            return None;
        }
        match entry.message(&self.engine.limits).ok()?.body {
            Body::Broadcast { args, selection, request: None } => {
                Some(Missed { offset: entry.id.to_string().into(), args, selection })
            }
            _ => None,
        }
    }
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move { self.engine.keys.query(&self.set(&session, ttl)).await.map(drop) })
    }

    fn persist_all(
        &self,
        sessions: Vec<SavedSession>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let keys = &self.engine.keys;
            for batch in sessions.chunks(keys.max_batch()) {
                let sets = batch.iter().map(|session| self.set(session, ttl)).collect();
                keys.query_all(sets).await.into_iter().try_for_each(|result| result.map(drop))?;
            }
            Ok(())
        })
    }

    fn owner<'a>(&'a self, pid: &'a str) -> BoxFuture<'a, Result<Option<NodeId>, AdapterError>> {
        Box::pin(async move {
            let mut get = cmd("GET");
            get.arg(self.key(pid));
            let session = self.decode(self.engine.keys.query(&get).await?)?;
            Ok(session.and_then(|session| session.owner))
        })
    }

    fn forget<'a>(&'a self, pid: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move { self.engine.keys.query(&self.get_del(pid)).await.map(drop) })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<SavedSession>, AdapterError>> {
        Box::pin(async move {
            let Some(offset) = StreamId::parse(offset).map(|offset| offset.to_string()) else {
                return Ok(None);
            };
            if self.range(&offset, &offset, 1).await?.is_empty() {
                return Ok(None);
            }
            self.decode(self.engine.keys.query(&self.get_del(pid)).await?)
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
            let mut page = Page { events: Vec::new(), end: offset.clone(), more: false };
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
            page.more = !all || entries.next().is_some();
            Ok(page)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        StreamId::parse(offset) > StreamId::parse(other)
    }
}

/// Longest time to live in milliseconds that Redis accepts, about 100 years.
const MAX_MS: u64 = 3_155_760_000_000;
