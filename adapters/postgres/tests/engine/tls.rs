//! PostgreSQL over TLS, with a certificate of a test authority.

use std::{error::Error, sync::Arc, time::Duration};

use engines::Postgres;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_postgres::{
    PostgresAdapter, PostgresConfig, PostgresError, Publisher,
    tokio_postgres::{Config, config::SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    Node, connect_directly,
    identity::Identity,
    suite::{RecordingInbox, until, within},
};

fn start(identity: &Identity) -> Postgres {
    Postgres::with_tls(&identity.certificate, &identity.key).unwrap()
}

/// Requires TLS and trusts one authority.
fn config(engine: &Postgres, authority: &str) -> PostgresConfig {
    let mut database: Config = engine.url().parse().unwrap();
    database.ssl_mode(SslMode::Require);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    PostgresConfig::new(database).tls(MakeRustlsConnect::new(client))
}

async fn until_received(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.message("/", "again", &"x".repeat(10_000))).await;
        two.inbox.messages().len() > before
    })
    .await;
}

#[tokio::test]
async fn messages_and_attachments_travel_over_tls_and_nodes_reconnect() {
    let identity = Identity::new();
    let engine = start(&identity);
    let adapter = || PostgresAdapter::new(config(&engine, &identity.authority)).unwrap();
    let (one, two) =
        (Node::join(adapter(), "/", "one").await, Node::join(adapter(), "/", "two").await);
    until_received(&one, &two).await;
    let secret = "SELECT count(*) FROM pg_stat_ssl WHERE ssl";
    let count =
        connect_directly(&engine).await.query_one(secret, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count, 4, "two connections for each server");
    engine.restart().unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let engine = start(&Identity::new());
    let config = config(&engine, &Identity::new().authority).timeout(Duration::from_secs(5));
    let adapter = PostgresAdapter::new(config.clone()).unwrap();
    let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "one".into() };
    let refused = within(adapter.join(member, Arc::new(RecordingInbox::default()))).await;
    let Some(AdapterError::NotConnected(error)) = refused.err() else {
        panic!("the certificate was accepted")
    };
    let error = error.downcast_ref::<PostgresError>();
    assert!(is_untrusted(error), "{error:?}");

    let publisher = Publisher::start(config).unwrap();
    let error = within(publisher.connected()).await.err();
    assert!(is_untrusted(error.as_ref()), "{error:?}");
}

/// Returns whether the error and its source report an untrusted certificate.
fn is_untrusted(error: Option<&PostgresError>) -> bool {
    let Some(error @ PostgresError::ConnectFailed(_)) = error else { return false };
    error.source().is_some() && error.to_string().contains("invalid peer certificate")
}

#[tokio::test]
async fn a_database_without_tls_is_refused_if_tls_is_required() {
    let (identity, engine) = (Identity::new(), Postgres::start().unwrap());
    let config = config(&engine, &identity.authority).timeout(Duration::from_secs(5));
    let error = within(Publisher::start(config).unwrap().connected()).await.err();
    assert!(matches!(error, Some(PostgresError::ConnectFailed(_))), "{error:?}");
}
