//! If a hook of the application panics, the request gets 500. No session, count or pending request
//! remains.

use crate::support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engineio_server::{CloseReason, EngineConfig, PeerAddr};
use http::Request;
use support::{Answer, Server, until, within};

/// A hook that panics while the switch is set.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn set(&self, panics: bool) {
        self.0.store(panics, Ordering::Relaxed);
    }

    fn pass(&self) {
        assert!(!self.0.load(Ordering::Relaxed), "the hook panics");
    }
}

/// Configurations with one such hook each, which runs while a session is opened.
fn configs(switch: &Switch) -> Vec<(&'static str, EngineConfig)> {
    let config = || EngineConfig::default().max_unauthenticated_per_address(1);
    let pass = || {
        let switch = switch.clone();
        move || switch.pass()
    };
    let (early, late, early_id, late_id) = (pass(), pass(), pass(), pass());
    let (initial, headers, files, address) = (pass(), pass(), pass(), pass());
    vec![
        (
            "allow_request",
            config().allow_request(move |handshake| {
                early();
                std::future::ready(Ok(handshake))
            }),
        ),
        (
            "allow_request, later",
            config().allow_request(move |handshake| {
                let late = late.clone();
                async move {
                    tokio::task::yield_now().await;
                    late();
                    Ok(handshake)
                }
            }),
        ),
        (
            "generate_id",
            config().generate_id(move |_| {
                early_id();
                std::future::ready(Ok::<_, std::io::Error>("id".to_owned()))
            }),
        ),
        (
            "generate_id, later",
            config().generate_id(move |_| {
                let late_id = late_id.clone();
                async move {
                    tokio::task::yield_now().await;
                    late_id();
                    Ok::<_, std::io::Error>("id".to_owned())
                }
            }),
        ),
        ("initial_headers", config().initial_headers(move |_, _| initial())),
        ("headers", config().headers(move |_, _| headers())),
        (
            "files",
            config().files(move |_, _| {
                files();
                None
            }),
        ),
        (
            "peer_addr",
            config().peer_addr(move |_| {
                address();
                None
            }),
        ),
    ]
}

async fn open(server: &Server, name: &str) -> Answer {
    let mut request = Request::get("/engine.io/?EIO=4&transport=polling");
    if name != "peer_addr" {
        let peer: SocketAddr = ([192, 0, 2, 1], 1).into();
        request = request.extension(PeerAddr(peer));
    }
    within(server.send(request.body(String::new()).unwrap())).await
}

#[tokio::test]
async fn a_panic_while_a_session_opens_leaves_no_session() {
    let switch = Switch::default();
    for (name, config) in configs(&switch) {
        let server = Server::echo(config).await;
        switch.set(true);
        for _ in 0..3 {
            let answer = open(&server, name).await;
            assert_eq!((answer.status, &*answer.body), (500, ""), "{name}");
            until(|| server.engine.stats().at_work == 0).await;
            assert_eq!(server.engine.clients_count(), 0, "{name}");
        }
        // The failed requests do not count towards the address, which may have one session.
        switch.set(false);
        assert_eq!(open(&server, name).await.status, 200, "{name}");
        assert_eq!(server.engine.stats().refused.hook_panicked, 3, "{name}");
    }
}

#[tokio::test]
async fn a_panic_while_a_websocket_is_accepted_leaves_no_session() {
    let switch = Switch::default();
    for (name, config) in configs(&switch).into_iter().filter(|(name, _)| *name != "peer_addr") {
        let server = Server::echo(config).await;
        switch.set(true);
        assert!(server.connect("EIO=4&transport=websocket").await.is_err(), "{name}");
        switch.set(false);
        assert_eq!(server.engine.clients_count(), 0, "{name}");
        server.websocket().await;
    }
}

#[tokio::test]
async fn a_panic_while_a_request_is_refused_gets_500() {
    let config = EngineConfig::default().connection_error(|_| panic!("the hook panics"));
    let server = Server::echo(config).await;
    within(server.request("GET", "EIO=4&transport=tape", "")).await.is(500, "");
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn a_session_whose_messages_would_be_lost_is_closed() {
    let switch = Switch::default();
    let hook = switch.clone();
    let mut server = Server::echo(EngineConfig::default().headers(move |_, _| hook.pass())).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().send("lost").unwrap();
    switch.set(true);
    within(server.get(&sid)).await.is(500, "");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    switch.set(false);
    let sid = server.open().await;
    switch.set(true);
    // A failed probe does not affect the session.
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    assert!(server.connect(&query).await.is_err());
    switch.set(false);
    within(server.post(&sid, "4a")).await.is(200, "ok");
    within(server.get(&sid)).await.is(200, "4a");
}
