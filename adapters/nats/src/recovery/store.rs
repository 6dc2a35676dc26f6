//! The store of sessions that every node can restore.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, ErrorCode, response::Response, stream::DeleteStatus};
use bytes::{BufMut, Bytes, BytesMut};
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterLimits, NodeId, Offset,
    recovery::{
        CompareAndSet, Found, Page, PageSize, SavedSession, SessionStore, StoredSession,
        TakeOutcome,
    },
};
use socketio_parser::{Nsp, value};

use super::{events::Events, offset::EntryOffset};
use crate::error::NatsError;

pub(crate) struct Sessions {
    pub(crate) nsp: Nsp,
    pub(crate) events: Events,
}

impl Sessions {
    /// Appends a session. Returns false if `old` is not the last entry.
    async fn replace(
        &self,
        old: Option<u64>,
        session: &SavedSession,
        ttl: Duration,
    ) -> Result<bool, NatsError> {
        let (log, pid) = (&self.events.log, &session.pid);
        let subject = log.prefix.session(pid).ok_or(NatsError::NameTooLong(pid.len()))?;
        let payload = pack(&session.encode(&self.events.limits)?, ttl);
        let (bytes, limit) = (payload.len(), log.client.max_payload());
        if bytes > limit {
            return Err(NatsError::TooLarge { bytes, limit });
        }
        match log.append_after(&subject, payload, Some(old.unwrap_or_default())).await {
            Err(NatsError::SessionChanged) => Ok(false),
            result => result.map(|_| true),
        }
    }
}

/// The version is the sequence number of the last entry.
impl CompareAndSet for Sessions {
    type Version = u64;
    type Error = NatsError;

    async fn find(&self, pid: &str) -> Found<u64, NatsError> {
        let Events { log, limits, .. } = &self.events;
        let Some(subject) = log.prefix.session(pid) else { return Ok(None) };
        let sessions = log.stream_handle(log.prefix.sessions()).await?;
        let found = log.entry(sessions.get_last_raw_message_by_subject(&subject)).await?;
        let Some(found) = found else { return Ok(None) };
        let session = unpack(&found.payload, limits);
        Ok(Some(StoredSession { version: found.sequence, session }))
    }

    /// If several nodes have found the entry, only one of them succeeds. The entry is not
    /// overwritten (`no_erase`), because that is slow in files.
    async fn delete(&self, _: &str, sequence: u64) -> Result<bool, NatsError> {
        let log = &self.events.log;
        let delete = value!({ "seq": sequence, "no_erase": true });
        let subject = format!("STREAM.MSG.DELETE.{}", log.prefix.sessions().0);
        let deleted = log.await_response(log.context().request(subject, &delete)).await?;
        match deleted.map_err(|error| NatsError::JetStream(error.into()))? {
            Response::Ok(DeleteStatus { success }) => Ok(success),
            Response::Err { error } if is_gone(&error) => Ok(false),
            Response::Err { error } => Err(NatsError::JetStream(error.into())),
        }
    }
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            // Most sessions are new.
            let write = self.write(None, &session, |old| self.replace(old, &session, ttl));
            match write.await? {
                true => Ok(()),
                false => Err(NatsError::SessionChanged.into()),
            }
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move { Ok(self.remove(pid, epoch).await?) })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            let Some(place) = EntryOffset::parse(offset) else { return Ok(TakeOutcome::Missing) };
            if !self.events.contains(place).await? {
                return Ok(TakeOutcome::Missing);
            }
            Ok(self.claim(pid, |session| session.claimed(&self.nsp, gone)).await?)
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let from = EntryOffset::parse(offset).ok_or(NatsError::Trimmed)?;
            Ok(self.events.read_after(from, size).await?)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        let position = |offset| {
            EntryOffset::parse(offset).map(|EntryOffset { created_at, seq, .. }| (created_at, seq))
        };
        position(offset) > position(other)
    }
}

/// Encodes the expiry time in milliseconds, followed by the encoded session.
fn pack(session: &[u8], ttl: Duration) -> Bytes {
    let end = now().saturating_add(ttl.as_millis().try_into().unwrap_or(u64::MAX));
    let mut out = BytesMut::with_capacity(8 + session.len());
    out.put_u64(end);
    out.put_slice(session);
    out.freeze()
}

/// Decodes a session. Returns `None` if it has expired.
fn unpack(payload: &[u8], limits: &ClusterLimits) -> Result<Option<SavedSession>, NatsError> {
    let malformed =
        |error: Box<dyn std::error::Error + Send + Sync>| NatsError::InvalidSession(error);
    let (end, session) =
        payload.split_first_chunk().ok_or_else(|| malformed("the payload is too short".into()))?;
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

/// NATS servers use different codes for a missing entry.
fn is_gone(error: &jetstream::Error) -> bool {
    let codes = [
        ErrorCode::SEQUENCE_NOT_FOUND,
        ErrorCode::NO_MESSAGE_FOUND,
        ErrorCode::STREAM_MESSAGE_DELETE_FAILED,
    ];
    codes.contains(&error.error_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mutated entries, and offsets of clients. What is accepted survives encoding.
    #[test]
    fn nats_session() {
        let (limits, ttl) = (ClusterLimits::default(), Duration::from_secs(60));
        let session = SavedSession {
            nsp: Some(Nsp::unchecked("/n")),
            pid: "p".into(),
            sid: "s".into(),
            rooms: vec!["s".into(), "r".into()],
            data: value!({ "n": [1, null, "x"] }),
            owner: Some("node".into()),
            epoch: 7,
            former_nodes: Vec::new(),
        };
        // The highest possible time, so that the seed does not expire.
        let seed = [&[0xff; 8][..], &session.to_msgpack()].concat();
        assert_eq!(unpack(&seed, &limits).unwrap().unwrap(), session);
        fuzz::run("nats_session", 5000, &[seed, b"k3x9-1z-1z141z3".to_vec()], |input| {
            if let Some(offset) = str::from_utf8(input).ok().and_then(EntryOffset::parse) {
                assert_eq!(EntryOffset::parse(&offset.to_string()), Some(offset));
            }
            if let Ok(Some(session)) = unpack(input, &limits) {
                let again = unpack(&pack(&session.to_msgpack(), ttl), &limits);
                assert!(again.is_ok_and(|again| again.is_some_and(|it| it.pid == session.pid)));
            }
        });
    }
}
