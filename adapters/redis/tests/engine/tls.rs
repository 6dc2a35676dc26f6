//! Redis over TLS, with a certificate of a test authority.

use std::{sync::Arc, time::Duration};

use engines::Redis;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_redis::RedisAdapter;

use crate::{
    Adapter, Node,
    identity::Identity,
    suite::{RecordingInbox, within},
    until_received,
};

fn start(identity: &Identity) -> Redis {
    Redis::with_tls(&identity.certificate, &identity.key).unwrap()
}

fn all_kinds(engine: &Redis, authority: &str) -> Vec<Adapter> {
    let short = Duration::from_secs(5);
    vec![
        RedisAdapter::classic(engine.url()).root_certificates(authority).build().unwrap(),
        RedisAdapter::sharded(engine.url()).root_certificates(authority).build().unwrap(),
        RedisAdapter::streams(engine.url()).root_certificates(authority).build().unwrap(),
        // Without `root_certificates`, the test authority is not trusted.
        RedisAdapter::classic(engine.url()).connection_timeout(short).build().unwrap(),
    ]
}

#[tokio::test]
async fn all_kinds_use_tls_and_reconnect() {
    let identity = Identity::new();
    let engine = start(&identity);
    for kind in 0..3 {
        let join = |uid| {
            let adapter = all_kinds(&engine, &identity.authority).swap_remove(kind);
            async move { Node::join(&adapter, "/", uid).await }
        };
        let (one, two) = (join("one").await, join("two").await);
        until_received(&one, &two).await;
        engine.restart().unwrap();
        until_received(&one, &two).await;
        until_received(&two, &one).await;
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let engine = start(&Identity::new());
    for adapter in all_kinds(&engine, &Identity::new().authority) {
        let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "one".into() };
        let refused = within(adapter.join(member, Arc::new(RecordingInbox::default()))).await;
        let Some(AdapterError::NotConnected(error)) = refused.err() else {
            panic!("the certificate was accepted")
        };
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        assert!(error.source().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let (identity, engine) = (Identity::new(), Redis::start().unwrap());
    let url = engine.url().replace("redis:", "rediss:");
    let adapter = RedisAdapter::classic(url).root_certificates(identity.authority);
    let adapter = adapter.connection_timeout(Duration::from_millis(500)).build().unwrap();
    let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "one".into() };
    let refused = within(adapter.join(member, Arc::new(RecordingInbox::default()))).await;
    assert!(matches!(refused.err(), Some(AdapterError::Engine(_) | AdapterError::NotConnected(_))));
}
