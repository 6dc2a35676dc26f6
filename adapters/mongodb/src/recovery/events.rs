//! Finds the events after an offset, and reads their documents.

use std::{collections::HashMap, sync::Arc, sync::atomic::Ordering};

use mongodb::{
    Collection, Cursor,
    bson::{Document, RawDocumentBuf, doc, oid::ObjectId},
    error::Error,
    options::Hint,
};
use socketio_adapter::{
    Body, ClusterMember, Message,
    recovery::{MissedEvent, Page, PageSize},
};

use super::order::{Event, EventOrder, Search};
use crate::{
    document::{BROADCAST, decode},
    error::MongoError,
    id::new_id,
    publisher::Publisher,
    stream::Members,
};

/// Number of events that are read at once from before the node joined. MongoDB must find them within
/// the `timeout`.
const PAGE: u32 = 250;

#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) publisher: Publisher,
    pub(crate) members: Arc<Members>,
    pub(crate) member: ClusterMember,
}

impl Events {
    pub(super) fn order(&self) -> &EventOrder {
        &self.members.order
    }

    /// Returns whether the collection contains an event of this namespace.
    pub(super) async fn contains(&self, id: ObjectId) -> Result<bool, MongoError> {
        let event = doc! { "_id": id, "type": BROADCAST, "nsp": self.member.nsp.as_str() };
        let found = self.collection().find_one(event).projection(doc! { "_id": 1 });
        Ok(self.publisher.within_timeout(found).await?.is_some())
    }

    /// Returns whether the place of an event is known once the node has read what is in the
    /// collection.
    pub(super) async fn find(&self, id: ObjectId) -> Result<bool, MongoError> {
        if !self.search(id).await {
            self.synchronize().await?;
        }
        Ok(self.order().contains(id))
    }

    /// Searches the events from before the node joined for this one. A single search, which goes on
    /// until it has found all, serves all callers. Returns whether the search has answered the
    /// question.
    async fn search(&self, id: ObjectId) -> bool {
        let order = self.order();
        let mut searched = order.searched.subscribe();
        let begun = order.begin_search();
        let begins = begun.is_some();
        if let Some(search) = begun {
            let events = self.clone();
            tokio::spawn(async move {
                if let Err(error) = events.read_earlier(search).await {
                    let nsp = &events.member.nsp;
                    tracing::warn!(target: "socketio::cluster", %nsp, %error, "cannot read the earlier events");
                }
                events.order().end_search();
            });
        }
        // The sender lives in `self`.
        let _ = searched.wait_for(|()| order.contains(id) || !order.is_searching()).await;
        order.contains(id) || begins && order.is_complete()
    }

    /// Waits until the node has read everything from the stream that is in the collection now.
    async fn synchronize(&self) -> Result<(), MongoError> {
        let (order, begun) = (self.order(), self.order().begun());
        let mut done = order.turn.lock().await;
        // A search that begins later serves all callers that wait for it.
        if *done > begun {
            return Ok(());
        }
        let number = order.begun.fetch_add(1, Ordering::Relaxed) + 1;
        // A message that means nothing to anybody else, and that arrives after all others.
        let ClusterMember { nsp, uid } = self.member.clone();
        let marker = Message { uid, nsp, body: Body::Heartbeat, seq: None };
        let id = new_id();
        let passed = order.await_marker(id);
        self.publisher.insert(id, &marker).await?;
        let timeout = self.publisher.config.timeout;
        let passed = tokio::time::timeout(timeout, passed).await;
        passed.map_err(|_| MongoError::Timeout(timeout))?.map_err(|_| MongoError::Trimmed)?;
        *done = number;
        Ok(())
    }

    /// Records the ids of the last events of all namespaces, page by page, the latest one first. The
    /// time limit applies to each page, because MongoDB has to read the whole documents.
    async fn read_earlier(&self, mut search: Search) -> Result<(), MongoError> {
        let (order, publisher) = (self.order(), &self.publisher);
        let id_and_size = doc! { "nsp": 1, "size": { "$bsonSize": "$$ROOT" } };
        let found = self
            .collection()
            .find(doc! { "type": BROADCAST })
            .projection(id_and_size)
            .hint(Hint::Keys(doc! { "$natural": -1 }))
            .limit(i64::try_from(search.max).unwrap_or(i64::MAX))
            .batch_size(PAGE);
        let mut found = publisher.within_timeout(found).await?;
        self.synchronize().await?;
        order.stream_read(&mut search);
        while order.add_earlier(&search, publisher.within_timeout(next_page(&mut found)).await?) {}
        Ok(())
    }

    /// Reads one page of the events after `from`.
    pub(super) async fn read_after(
        &self,
        from: ObjectId,
        size: PageSize,
    ) -> Result<Page, MongoError> {
        let (order, nsp) = (self.order(), &self.member.nsp);
        let (events, has_more) = match order.after(nsp.as_str(), from, size) {
            Some(page) => page,
            None => {
                self.find(from).await?;
                order.after(nsp.as_str(), from, size).ok_or(MongoError::Trimmed)?
            }
        };
        let end = events.last().map_or(from, |last| last.id).to_hex().into();
        let mut page = Page { events: Vec::new(), end, has_more };
        let limits = &self.publisher.config.limits;
        // Larger messages were not delivered either.
        let events = events.iter().filter(|event| event.bytes as usize <= limits.max_message_bytes);
        let ids: Vec<_> = events.map(|event| event.id).collect();
        let mut documents = self.publisher.within_timeout(self.read(&ids)).await?;
        for id in ids {
            let document = documents.remove(&id).ok_or(MongoError::Trimmed)?;
            let message = decode(document, limits).ok().flatten();
            let message = message.filter(|message| message.nsp == *nsp);
            page.events.extend(message.and_then(|it| MissedEvent::new(it, id.to_hex())));
        }
        Ok(page)
    }

    async fn read(&self, ids: &[ObjectId]) -> Result<HashMap<ObjectId, RawDocumentBuf>, Error> {
        let mut documents = HashMap::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(documents);
        }
        let mut found = self.collection().find(doc! { "_id": { "$in": ids } }).await?;
        while found.advance().await? {
            let document = found.current();
            if let Ok(id) = document.get_object_id("_id") {
                documents.insert(id, document.to_owned());
            }
        }
        Ok(documents)
    }

    fn collection(&self) -> &Collection<Document> {
        &self.publisher.config.collection
    }
}

/// Reads the next events. Returns none at the end.
async fn next_page(found: &mut Cursor<Document>) -> Result<Vec<Event>, Error> {
    let mut page = Vec::new();
    while page.len() < PAGE as usize && found.advance().await? {
        let event = found.current();
        let size = event.get_i32("size").ok().and_then(|size| size.try_into().ok());
        if let (Ok(id), Ok(nsp)) = (event.get_object_id("_id"), event.get_str("nsp")) {
            page.push(Event::new(id, size.unwrap_or(usize::MAX), nsp));
        }
    }
    Ok(page)
}
