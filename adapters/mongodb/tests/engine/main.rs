//! Tests of the adapter with a server of MongoDB's protocol.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../testing/suite.rs"]
mod suite;

mod conformance;
mod earlier_events;
mod faults;
mod recovery;

use std::{sync::Arc, time::Duration};

use engines::Mongo;
use socketio_adapter::{
    Body, ClusterAdapter, ClusterMember, Heartbeats, Link, Message, Selection, event_args,
};
use socketio_adapter_mongodb::{
    MongoAdapter, MongoConfig,
    mongodb::{Client, Collection, bson::Document, options::ClientOptions},
};
use socketio_parser::Nsp;
use suite::{RecordingInbox, within};

/// A collection, each time over a client of its own.
async fn collection(engine: &Mongo) -> Collection<Document> {
    let mut options = ClientOptions::parse(engine.url()).await.unwrap();
    options.server_selection_timeout = Some(Duration::from_secs(2));
    options.heartbeat_freq = Some(Duration::from_millis(500));
    Client::with_options(options).unwrap().database("test").collection("events")
}

async fn config(engine: &Mongo) -> MongoConfig {
    config_with(collection(engine).await)
}

fn config_with(collection: Collection<Document>) -> MongoConfig {
    let heartbeats =
        Heartbeats { interval: Duration::from_millis(300), timeout: Duration::from_secs(3) };
    MongoConfig::new(collection).heartbeats(heartbeats)
}

async fn adapter(engine: &Mongo) -> Arc<MongoAdapter> {
    MongoAdapter::new(config(engine).await)
}

/// A node of a cluster, without a Socket.IO server.
struct Node {
    link: Arc<dyn Link>,
    inbox: Arc<RecordingInbox>,
    uid: String,
    _adapter: Arc<MongoAdapter>,
}

impl Node {
    async fn join(adapter: Arc<MongoAdapter>, nsp: &str, uid: &str) -> Self {
        let inbox = Arc::new(RecordingInbox::default());
        let member = ClusterMember { nsp: Nsp::unchecked(nsp), uid: uid.to_owned().into() };
        let link = within(adapter.join(member, inbox.clone())).await.unwrap();
        Self { link, inbox, uid: uid.into(), _adapter: adapter }
    }

    fn message(&self, event: &str) -> Message {
        let args = event_args(event, &1).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        Message { uid: self.uid.clone().into(), nsp: Nsp::root(), body, seq: None }
    }

    async fn publish(&self, event: &str) {
        within(self.link.publish(self.message(event))).await.unwrap();
    }

    fn events(&self) -> Vec<String> {
        let messages = self.inbox.messages();
        let name = |message: Message| match message.body {
            Body::Broadcast { args, .. } => args.event().to_owned(),
            other => format!("{other:?}"),
        };
        messages.into_iter().map(name).collect()
    }
}
