//! Connection state recovery across nodes. Events and sessions are documents of the collection, as
//! with Node's adapter, and the offset of an event is the `_id` of its document.
//!
//! # Order
//!
//! Clients get events in the order of the change stream, which is that of the oplog and the same on
//! all nodes. The ids are not in that order, because each node makes its own from its clock. A node
//! therefore records the ids of the events as it reads them (`order.rs`), and later reads the
//! documents with the ids that it recorded after an offset (`events.rs`).
//!
//! The ids from before the node joined are read once, when a client returns with an earlier offset:
//! page by page from the latest one, so that a client with a recent offset waits for few. They are
//! in the order in which the collection contains them. In a capped collection, this is the order of
//! the oplog. In another one, documents that were inserted at the same moment may be swapped.
//!
//! # Sessions
//!
//! A session changes by compare-and-set (`sessions.rs`):
//!
//! - In a collection with `createdAt`, it is one document that is replaced and deleted. Each write
//!   gives it a new `version`.
//! - A capped collection cannot delete documents. Each write inserts another one, and the greatest
//!   `_id` counts. It is determined by the one before, so of two nodes only one can insert it. A
//!   tombstone without `sid` stands for a session that was taken out.

mod events;
mod order;
mod sessions;

use std::time::Duration;

use socketio_adapter::{
    AdapterError, BoxFuture, NodeId, Offset,
    recovery::{CompareAndSet as _, Page, PageSize, SavedSession, SessionStore, TakeOutcome},
};

pub(crate) use self::{events::Events, order::EventOrder, sessions::Sessions};
use crate::{error::MongoError, id::parse_offset};

/// The store of sessions that every node can restore.
pub(crate) struct Store {
    pub(crate) events: Events,
    pub(crate) sessions: Sessions,
}

impl SessionStore for Store {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let (sessions, pid) = (&self.sessions, &session.pid);
            let replace = |old| sessions.replace(old, pid, Some((&session, ttl)));
            match sessions.write(sessions.find(pid).await?, &session, replace).await? {
                true => Ok(()),
                false => Err(MongoError::SessionChanged.into()),
            }
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move { Ok(self.sessions.remove(pid, epoch).await?) })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            let Some(id) = parse_offset(offset) else { return Ok(TakeOutcome::Missing) };
            // Without a stored session, a claim must not make this node search the collection.
            let is_found = self.events.contains(id).await?
                && (self.events.order().contains(id)
                    || self.sessions.contains(pid).await? && self.events.find(id).await?);
            match is_found {
                true => {
                    let nsp = &self.sessions.member.nsp;
                    Ok(self.sessions.claim(pid, |session| session.claimed(nsp, gone)).await?)
                }
                false => Ok(TakeOutcome::Missing),
            }
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let from = parse_offset(offset).ok_or(MongoError::Trimmed)?;
            Ok(self.events.read_after(from, size).await?)
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        match (parse_offset(offset), parse_offset(other)) {
            (Some(id), Some(other)) => self.events.order().is_after(id, other),
            _ => false,
        }
    }
}
