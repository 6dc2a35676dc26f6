//! Parity: `allowRequest`. It runs only for handshakes, refuses with code 4, and may add values to
//! the handshake.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use engineio_server::{EngineConfig, Handshake, Refusal};
use http::StatusCode;
use support::{Server, within};
use tokio_tungstenite::tungstenite;

#[derive(Clone, Debug, PartialEq)]
struct User(String);

/// Admits clients with a `name` in their query. `status` and `rude` select other refusals.
fn config() -> EngineConfig {
    EngineConfig::default().allow_request(|mut handshake: Handshake| async move {
        let query = handshake.query();
        // As if the hook queried a database.
        tokio::task::yield_now().await;
        let value = |wanted| query.iter().find(|(name, _)| name == wanted);
        if value("status").is_some() {
            return Err(Refusal::new("busy").code(42).status(StatusCode::SERVICE_UNAVAILABLE));
        }
        if value("rude").is_some() {
            return Err(Refusal::default());
        }
        let (_, name) = value("name").ok_or(Refusal::new("your \"name\"?"))?;
        handshake.insert_extension(User(name.clone()));
        Ok(handshake)
    })
}

#[tokio::test]
async fn the_application_may_refuse_a_client() {
    let server = Server::echo(config()).await;
    for (query, status, body) in [
        ("", 403, r#"{"code":4,"message":"your \"name\"?"}"#),
        ("&rude", 403, r#"{"code":4,"message":"Forbidden"}"#),
        ("&status", 503, r#"{"code":42,"message":"busy"}"#),
    ] {
        let http = format!("EIO=4&transport=polling{query}");
        within(server.request("GET", &http, "")).await.is(status, body);

        let websocket = format!("EIO=4&transport=websocket{query}");
        let Err(tungstenite::Error::Http(response)) = server.connect(&websocket).await else {
            panic!("not refused")
        };
        assert_eq!(response.status(), status);
        assert_eq!(response.body().as_deref(), Some(body.as_bytes()));
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn the_application_may_add_the_identity_of_the_client() {
    let (server, mut connections) = Server::manual(config()).await;
    within(server.request("GET", "EIO=4&transport=polling&name=ann", "")).await;
    let _websocket = server.connect("EIO=4&transport=websocket&name=bob").await.unwrap();
    for name in ["ann", "bob"] {
        let connection = connections.recv().await.unwrap();
        let user = connection.handle().handshake().extension::<User>().cloned();
        assert_eq!(user, Some(User(name.to_owned())));
    }
}

#[tokio::test]
async fn the_application_is_asked_only_about_well_formed_handshakes() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let config = EngineConfig::default().allow_request(move |handshake| {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(handshake))
    });
    let server = Server::echo(config).await;
    for query in ["", "EIO=4&transport=polling&sid=unknown", "EIO=4&transport=websocket"] {
        assert_eq!(within(server.request("GET", query, "")).await.status, 400);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);

    // As in Node, the revision is checked after the hook.
    let version = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    within(server.request("GET", "transport=polling", "")).await.is(400, version);
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    let sid = server.open().await;
    within(server.post(&sid, "4a")).await.is(200, "ok");
    within(server.get(&sid)).await.is(200, "4a");
    let mut probe = server.probe(&sid).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}
