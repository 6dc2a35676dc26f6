//! The store of sessions that every node can restore.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use socketio_adapter::{
    AdapterError, BoxFuture, Message, NodeId, Offset,
    recovery::{
        MissedEvent, Page, PageSize, RefusedSession, SavedSession, SessionStore, TakeOutcome,
        encode_sessions,
    },
};
use socketio_parser::Nsp;

use super::log::parse_offset;
use crate::{error::PostgresError, publisher::Publisher};

pub(crate) struct Sessions {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) nsp: Nsp,
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let mut refused = self.persist_all(vec![session], ttl).await?;
            refused.pop().map_or(Ok(()), |refused| Err(refused.error))
        })
    }

    fn persist_all(
        &self,
        sessions: Vec<SavedSession>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Vec<RefusedSession>, AdapterError>> {
        Box::pin(async move {
            let nsp = self.nsp.as_str();
            let (encoded, refused) = encode_sessions(&sessions, self.publisher.limits());
            let persisted = async { self.publisher.log().await?.persist(nsp, &encoded, ttl).await };
            self.publisher.with_timeout(persisted).await?;
            Ok(refused)
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            let nsp = self.nsp.as_str();
            let forgotten = async { self.publisher.log().await?.forget(nsp, pid, epoch).await };
            Ok(self.publisher.with_timeout(forgotten).await?)
        })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            // The encoding of the database may lack other characters.
            let offset = parse_offset(offset).filter(|_| pid.bytes().all(|c| c.is_ascii_graphic()));
            let Some(offset) = offset else { return Ok(TakeOutcome::Missing) };
            let (nsp, gone) = (self.nsp.as_str(), gone.map(NodeId::as_str));
            let taken = async { self.publisher.log().await?.take(nsp, pid, offset, gone).await };
            Ok(match self.publisher.with_timeout(taken).await? {
                (Some(session), _) => {
                    let session = SavedSession::from_msgpack(&session, self.publisher.limits());
                    TakeOutcome::Session(session.map_err(PostgresError::from)?)
                }
                (None, Some(owner)) => TakeOutcome::Owned(owner.into()),
                (None, None) => TakeOutcome::Missing,
            })
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let from = parse_offset(offset).ok_or(PostgresError::Trimmed)?;
            let (nsp, limits) = (&self.nsp, self.publisher.limits());
            let rows = self.publisher.read(nsp.as_str(), from, size).await?;
            let mut rows = rows.iter();
            if rows.next().is_none_or(|first| first.id != from) {
                return Err(PostgresError::Trimmed.into());
            }
            let mut page = Page { events: Vec::new(), end: offset.clone(), has_more: false };
            let mut bytes = 0_usize;
            page.has_more = rows.len() >= size.packets;
            for row in rows {
                page.end = row.id.to_string().into();
                bytes = bytes.saturating_add(row.payload.as_ref().map_or(usize::MAX, Bytes::len));
                page.has_more |= bytes >= size.bytes;
                let message = row.payload.as_ref();
                let message = message.and_then(|it| Message::decode_in(it, nsp, limits).ok());
                page.events.extend(message.and_then(|it| MissedEvent::new(it, page.end.clone())));
            }
            Ok(page)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        parse_offset(offset) > parse_offset(other)
    }
}
