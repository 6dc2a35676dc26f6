//! NATS by TLS, with a certificate of an authority of our own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use engines::Nats;
use socketio_adapter::{AdapterError, ClusterAdapter, Seat};
use socketio_adapter_nats::{
    NatsAdapter, NatsConfig,
    async_nats::{ConnectOptions, rustls},
    connect_options,
};

use crate::{
    Node,
    identity::Identity,
    suite::{Kept, until, within},
};

fn start(identity: &Identity) -> Nats {
    // Other crates of a workspace may bring another provider, and then rustls takes none by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Nats::with_tls(&identity.certificate, &identity.key).unwrap()
}

/// An authority in a file, as the client wants it. The file goes with this.
struct Trusted(PathBuf);

impl Trusted {
    fn new(authority: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(format!("authority-{process}-{number}.pem"));
        std::fs::write(&file, authority).unwrap();
        Self(file)
    }

    fn by(&self, options: ConnectOptions) -> ConnectOptions {
        options.add_root_certificates(self.0.clone())
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn until_heard(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.message(&["room"], "again", &1)).await;
        two.inbox.messages().len() > before
    })
    .await;
}

#[tokio::test]
async fn messages_go_by_tls_and_the_server_is_found_again() {
    let identity = Identity::new();
    let (engine, trusted) = (start(&identity), Trusted::new(&identity.authority));
    let join = async |uid| {
        let client = trusted.by(connect_options()).connect(engine.url()).await.unwrap();
        let adapter = NatsAdapter::new(NatsConfig::new(client)).unwrap();
        let joined = || adapter.join(seat("/early", uid), Arc::new(Kept::default()));
        until(|| async { joined().await.is_ok() }).await;
        let node = Node::join(adapter, "/", uid).await;
        node.enter("room").await;
        node
    };
    let (one, two) = (join("one").await, join("two").await);
    until_heard(&one, &two).await;
    engine.restart().unwrap();
    until_heard(&one, &two).await;
    until_heard(&two, &one).await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let engine = start(&Identity::new());
    let stranger = Trusted::new(&Identity::new().authority);
    let once = stranger.by(ConnectOptions::new()).connect(engine.url()).await;
    let Err(error) = once else { panic!("it was trusted") };
    assert!(error.to_string().contains("invalid peer certificate"), "{error:?}");

    // A client that goes on trying has no connection, and whoever joins is told.
    let client = stranger.by(connect_options()).connect(engine.url()).await.unwrap();
    let config = NatsConfig::new(client).timeout(Duration::from_millis(500));
    let adapter = NatsAdapter::new(config).unwrap();
    let refused = within(adapter.join(seat("/", "one"), Arc::new(Kept::default()))).await;
    assert!(matches!(refused.err(), Some(AdapterError::Away(_))));
}

fn seat(nsp: &str, uid: &str) -> Seat {
    Seat { nsp: nsp.into(), uid: uid.to_owned().into() }
}
