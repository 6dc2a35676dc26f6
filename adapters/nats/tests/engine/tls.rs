//! NATS over TLS, with a certificate of a test authority.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use engines::Nats;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_nats::{
    NatsAdapter, NatsConfig,
    async_nats::{ConnectOptions, rustls},
    connect_options,
};

use crate::{
    Node,
    identity::Identity,
    suite::{RecordingInbox, until, within},
};

fn start(identity: &Identity) -> Nats {
    // If other crates of the workspace enable another provider, rustls does not choose one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Nats::with_tls(&identity.certificate, &identity.key).unwrap()
}

/// The certificate of an authority in a file, as the client expects it. Dropping this deletes the
/// file.
struct Trusted(PathBuf);

impl Trusted {
    fn new(authority: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(format!("authority-{process}-{number}.pem"));
        std::fs::write(&file, authority).unwrap();
        Self(file)
    }

    fn add_to(&self, options: ConnectOptions) -> ConnectOptions {
        options.add_root_certificates(self.0.clone())
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn until_received(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.message(&["room"], "again", &1)).await;
        two.inbox.messages().len() > before
    })
    .await;
}

#[tokio::test]
async fn messages_travel_over_tls_and_nodes_reconnect() {
    let identity = Identity::new();
    let (engine, trusted) = (start(&identity), Trusted::new(&identity.authority));
    let join = async |uid| {
        let client = trusted.add_to(connect_options()).connect(engine.url()).await.unwrap();
        let adapter = NatsAdapter::new(NatsConfig::new(client)).unwrap();
        let joined = || adapter.join(member("/early", uid), Arc::new(RecordingInbox::default()));
        until(|| async { joined().await.is_ok() }).await;
        let node = Node::join(adapter, "/", uid).await;
        node.join_room("room").await;
        node
    };
    let (one, two) = (join("one").await, join("two").await);
    until_received(&one, &two).await;
    engine.restart().unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let engine = start(&Identity::new());
    let other_client = Trusted::new(&Identity::new().authority);
    let once = other_client.add_to(ConnectOptions::new()).connect(engine.url()).await;
    let Err(error) = once else { panic!("the certificate was accepted") };
    assert!(error.to_string().contains("invalid peer certificate"), "{error:?}");

    // A client that keeps retrying has no connection, so joining fails.
    let client = other_client.add_to(connect_options()).connect(engine.url()).await.unwrap();
    let config = NatsConfig::new(client).timeout(Duration::from_millis(500));
    let adapter = NatsAdapter::new(config).unwrap();
    let refused =
        within(adapter.join(member("/", "one"), Arc::new(RecordingInbox::default()))).await;
    assert!(matches!(refused.err(), Some(AdapterError::NotConnected(_))));
}

fn member(nsp: &str, uid: &str) -> ClusterMember {
    ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: uid.to_owned().into() }
}
