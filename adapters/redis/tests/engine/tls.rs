//! Redis behind TLS, with a certificate of an authority of our own.

use std::{sync::Arc, time::Duration};

use engines::Redis;
use socketio_adapter::{AdapterError, ClusterAdapter, Seat};
use socketio_adapter_redis::RedisAdapter;

use crate::{
    Adapter, Node,
    identity::Identity,
    suite::{Kept, within},
    until_heard,
};

fn start(identity: &Identity) -> Redis {
    Redis::with_tls(&identity.certificate, &identity.key).unwrap()
}

fn kinds(engine: &Redis, authority: &str) -> Vec<Adapter> {
    let short = Duration::from_millis(500);
    vec![
        RedisAdapter::classic(engine.url()).root_certificates(authority).build().unwrap(),
        RedisAdapter::sharded(engine.url()).root_certificates(authority).build().unwrap(),
        RedisAdapter::streams(engine.url()).root_certificates(authority).build().unwrap(),
        // Nobody is trusted without being named.
        RedisAdapter::classic(engine.url()).connection_timeout(short).build().unwrap(),
    ]
}

#[tokio::test]
async fn all_kinds_speak_tls_and_find_their_server_again() {
    let identity = Identity::new();
    let engine = start(&identity);
    for kind in 0..3 {
        let join = |uid| {
            let adapter = kinds(&engine, &identity.authority).swap_remove(kind);
            async move { Node::join(&adapter, "/", uid).await }
        };
        let (one, two) = (join("one").await, join("two").await);
        until_heard(&one, &two).await;
        engine.restart().unwrap();
        until_heard(&one, &two).await;
        until_heard(&two, &one).await;
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let engine = start(&Identity::new());
    for adapter in kinds(&engine, &Identity::new().authority) {
        let seat = Seat { nsp: "/".into(), uid: "one".into() };
        let refused = within(adapter.join(seat, Arc::new(Kept::default()))).await;
        let Some(AdapterError::Away(error)) = refused.err() else { panic!("it was trusted") };
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        assert!(error.source().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_no_server_for_tls() {
    let (identity, engine) = (Identity::new(), Redis::start().unwrap());
    let url = engine.url().replace("redis:", "rediss:");
    let adapter = RedisAdapter::classic(url).root_certificates(identity.authority);
    let adapter = adapter.connection_timeout(Duration::from_millis(500)).build().unwrap();
    let seat = Seat { nsp: "/".into(), uid: "one".into() };
    let refused = within(adapter.join(seat, Arc::new(Kept::default()))).await;
    assert!(matches!(refused.err(), Some(AdapterError::Engine(_) | AdapterError::Away(_))));
}
