//! Tests of the adapter with a real NATS server.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../testing/identity.rs"]
mod identity;
#[path = "../../../testing/sessions.rs"]
mod sessions;
#[path = "../../../testing/suite.rs"]
mod suite;

mod conformance;
mod faults;
mod hostile;
mod log;
mod log_cluster;
mod log_faults;
mod permissions;
mod rooms;
mod servers;
mod tls;

use std::{sync::Arc, time::Duration};

use engines::Nats;
use socketio_adapter::{
    Body, ClusterAdapter, ClusterMember, Heartbeats, Link, Message, Room, Selection, event_args,
};
use socketio_adapter_nats::{NatsAdapter, NatsConfig, async_nats, connect_options};
use suite::{RecordingInbox, until, within};

/// Creates a configuration with a connection of its own.
async fn config(engine: &Nats) -> NatsConfig {
    with(engine, connect_options().ping_interval(Duration::from_millis(500))).await
}

async fn with(engine: &Nats, options: async_nats::ConnectOptions) -> NatsConfig {
    let client = options.connect(engine.url()).await.unwrap();
    until(|| async { client.connection_state() == async_nats::connection::State::Connected }).await;
    let heartbeats =
        Heartbeats { interval: Duration::from_millis(300), timeout: Duration::from_secs(3) };
    NatsConfig::new(client).heartbeats(heartbeats)
}

async fn adapter(engine: &Nats) -> Arc<NatsAdapter> {
    NatsAdapter::new(config(engine).await).unwrap()
}

/// A node of a cluster, without a Socket.IO server.
struct Node {
    link: Arc<dyn Link>,
    inbox: Arc<RecordingInbox>,
    uid: String,
    adapter: Arc<NatsAdapter>,
}

impl Node {
    async fn join(adapter: Arc<NatsAdapter>, nsp: &str, uid: &str) -> Self {
        let inbox = Arc::new(RecordingInbox::default());
        let member =
            ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: uid.to_owned().into() };
        let link = within(adapter.join(member, inbox.clone())).await.unwrap();
        Self { link, inbox, uid: uid.into(), adapter }
    }

    fn message(&self, rooms: &[&str], event: &str, args: &impl serde::Serialize) -> Message {
        let args = event_args(event, args).unwrap();
        let mut selection = Selection::default();
        selection.rooms.extend(rooms.iter().map(|room| Room::from(*room)));
        let body = Body::Broadcast { args, selection, request: None };
        Message { uid: self.uid.clone().into(), nsp: socketio_parser::Nsp::root(), body, seq: None }
    }

    async fn publish_now(&self, rooms: &[&str], event: &str) {
        within(self.link.publish(self.message(rooms, event, &1))).await.unwrap();
    }

    async fn join_room(&self, room: &str) {
        self.link.room_appeared(&Room::from(room));
        until(|| async { self.adapter.receives("/", room) }).await;
    }

    fn events(&self) -> Vec<String> {
        let messages = self.inbox.messages();
        let name = |message: &Message| match &message.body {
            Body::Broadcast { args, .. } => args.event().to_owned(),
            other => panic!("{other:?}"),
        };
        messages.iter().map(name).collect()
    }
}
