//! Tests of the adapter with a real PostgreSQL server.

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
mod large;
mod log;
mod log_costs;
mod log_faults;
mod permissions;
mod table;
mod tls;

use std::{sync::Arc, time::Duration};

use engines::Postgres;
use socketio_adapter::{
    Body, ClusterAdapter, ClusterMember, Heartbeats, Link, Message, Selection, event_args,
};
use socketio_adapter_postgres::{PostgresAdapter, PostgresConfig, tokio_postgres};
use suite::{RecordingInbox, within};

fn config(engine: &Postgres) -> PostgresConfig {
    let heartbeats =
        Heartbeats { interval: Duration::from_millis(300), timeout: Duration::from_secs(3) };
    PostgresConfig::new(engine.url().parse().unwrap()).heartbeats(heartbeats)
}

fn adapter(engine: &Postgres) -> Arc<PostgresAdapter> {
    PostgresAdapter::new(config(engine)).unwrap()
}

/// Opens a connection that does not belong to an adapter.
async fn connect_directly(engine: &Postgres) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(engine.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A node of a cluster, without a Socket.IO server.
struct Node {
    link: Arc<dyn Link>,
    inbox: Arc<RecordingInbox>,
    uid: String,
    _adapter: Arc<PostgresAdapter>,
}

impl Node {
    async fn join(adapter: Arc<PostgresAdapter>, nsp: &str, uid: &str) -> Self {
        let inbox = Arc::new(RecordingInbox::default());
        let member =
            ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: uid.to_owned().into() };
        let link = within(adapter.join(member, inbox.clone())).await.unwrap();
        Self { link, inbox, uid: uid.into(), _adapter: adapter }
    }

    fn message(&self, nsp: &str, event: &str, args: &impl serde::Serialize) -> Message {
        let args = event_args(event, args).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        Message {
            uid: self.uid.clone().into(),
            nsp: socketio_parser::Nsp::unchecked(nsp),
            body,
            seq: None,
        }
    }

    async fn publish(&self, event: &str, args: &impl serde::Serialize) {
        within(self.link.publish(self.message("/", event, args))).await.unwrap();
    }
}
