//! The documents of sessions.

use std::time::{Duration, SystemTime};

use mongodb::{
    bson::{Bson, DateTime, Document, RawBsonRef, RawDocumentBuf, doc},
    error::{Error, ErrorKind, WriteFailure},
};
use socketio_adapter::{
    ClusterMember,
    recovery::{CompareAndSet, Found, SavedSession, StoredSession},
};
use socketio_parser::value;

use crate::{
    document::{self, SESSION},
    error::MongoError,
    id::{new_id, new_session_id, next_session_id},
    publisher::Publisher,
};

/// The number by which MongoDB reports that a document with this `_id` exists.
const DUPLICATE_KEY: i32 = 11_000;

pub(crate) struct Sessions {
    pub(crate) publisher: Publisher,
    pub(crate) member: ClusterMember,
}

/// The document that counts for a session.
pub(crate) struct Version {
    id: Bson,
    /// Changes when the document is replaced. `Null` in documents of Node's servers.
    version: Bson,
}

impl Sessions {
    /// Returns whether a session is stored.
    pub(super) async fn contains(&self, pid: &str) -> Result<bool, MongoError> {
        Ok(self.find(pid).await?.is_some_and(|stored| !matches!(stored.session, Ok(None))))
    }

    /// Replaces a document by that of a session, or takes it out. Returns false if another node has
    /// replaced it meanwhile.
    pub(super) async fn replace(
        &self,
        old: Option<Version>,
        pid: &str,
        new: Option<(&SavedSession, Duration)>,
    ) -> Result<bool, MongoError> {
        let (publisher, nsp) = (&self.publisher, self.member.nsp.as_str());
        let collection = &publisher.config.collection;
        if !publisher.config.add_created_at_field {
            let id = match old.map(|old| old.id) {
                Some(Bson::ObjectId(id)) => next_session_id(id),
                _ => new_session_id(),
            };
            return self.insert(self.document(id, pid, new)?).await;
        }
        let Some(Version { id, version }) = old else {
            // The same on all nodes, so that there is only one document.
            let id = format!("session {nsp},{pid}");
            return match new {
                Some(_) => self.insert(self.document(id, pid, new)?).await,
                None => Ok(true),
            };
        };
        let unchanged = doc! { "_id": id.clone(), "version": version };
        if new.is_none() {
            let deleted = publisher.within_timeout(collection.delete_one(unchanged)).await?;
            return Ok(deleted.deleted_count > 0);
        }
        let document = self.document(id, pid, new)?;
        let replaced = collection.replace_one(unchanged, document);
        Ok(publisher.within_timeout(replaced).await?.matched_count > 0)
    }

    async fn insert(&self, document: Document) -> Result<bool, MongoError> {
        let inserted = self.publisher.config.collection.insert_one(document);
        match self.publisher.within_timeout(inserted).await {
            Err(MongoError::Database(error)) if is_duplicate(&error) => Ok(false),
            result => result.map(|_| true),
        }
    }

    /// Returns the document of a session, or a tombstone.
    fn document(
        &self,
        id: impl Into<Bson>,
        pid: &str,
        session: Option<(&SavedSession, Duration)>,
    ) -> Result<Document, MongoError> {
        let config = &self.publisher.config;
        let data = match session {
            Some((session, _)) => session.to_value(),
            None => value!({ "pid": pid, "tombstone": true }),
        };
        let ClusterMember { nsp, uid } = &self.member;
        let mut document = document::new(SESSION, Some(data), uid, nsp);
        if let Some((_, ttl)) = session {
            let end = SystemTime::now().checked_add(ttl);
            document.extend(end.map(|end| ("expiresAt".into(), DateTime::from(end).into())));
        }
        if config.add_created_at_field {
            document.insert("version", new_id());
        }
        Ok(self.publisher.stamped(id, document)?)
    }
}

impl CompareAndSet for Sessions {
    type Version = Version;
    type Error = MongoError;

    async fn find(&self, pid: &str) -> Found<Version, MongoError> {
        let config = &self.publisher.config;
        let session = doc! { "type": SESSION, "data.pid": pid, "nsp": self.member.nsp.as_str() };
        let documents = config.collection.clone_with_type::<RawDocumentBuf>();
        let found = documents.find_one(session).sort(doc! { "_id": -1 });
        let Some(found) = self.publisher.within_timeout(found).await? else { return Ok(None) };
        let field = |name| match found.get(name) {
            Ok(Some(RawBsonRef::ObjectId(id))) => Some(Bson::ObjectId(id)),
            Ok(Some(RawBsonRef::String(text))) => Some(Bson::String(text.to_owned())),
            Ok(Some(RawBsonRef::DateTime(time))) => Some(Bson::DateTime(time)),
            _ => None,
        };
        let (id, version) = (field("_id"), field("version").unwrap_or(Bson::Null));
        let is_over = match (field("expiresAt"), found.get_document("data")) {
            (Some(Bson::DateTime(end)), _) if end <= DateTime::now() => true,
            (_, Ok(data)) => matches!(data.get("sid"), Ok(None)),
            _ => false,
        };
        let session = match is_over {
            true => Ok(None),
            false => document::decode_session(found, &config.limits).map(Some),
        };
        let session = session.map_err(MongoError::InvalidSession);
        Ok(id.map(|id| StoredSession { version: Version { id, version }, session }))
    }

    async fn delete(&self, pid: &str, old: Version) -> Result<bool, MongoError> {
        self.replace(Some(old), pid, None).await
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
}
