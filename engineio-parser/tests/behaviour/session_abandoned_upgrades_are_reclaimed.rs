//! An unfinished upgrade is dropped after its timeout, in every state of the upgrade.

use crate::harness;

use engineio_parser::{
    Transport::{Polling, WebSocket},
    session::{CloseReason, Input, Loss, Output},
};
use harness::{Harness, UPGRADE_TIMEOUT, config};
use std::time::Duration;

fn server_with_rare_pings() -> Harness {
    let mut config = config();
    config.ping_interval = Duration::from_secs(100);
    Harness::server_with(config, engineio_parser::Revision::V4, Polling)
}

#[test]
fn a_connection_that_never_probes_is_dropped() {
    let mut server = server_with_rare_pings();
    server.accept(Input::ProbeStarted(WebSocket));
    server.advance(UPGRADE_TIMEOUT - 1);
    assert!(server.session.is_upgrading() && server.outputs().is_empty());
    server.advance(1);
    assert_eq!(server.outputs(), [Output::ProbeFailed(WebSocket)]);
    assert!(server.session.is_open() && !server.session.is_upgrading());
}

#[test]
fn a_probe_that_never_switches_is_dropped() {
    let mut server = server_with_rare_pings();
    server.probe();
    server.advance(UPGRADE_TIMEOUT - 1);
    // A second probe does not extend the timeout.
    server.receive(WebSocket, "2probe");
    server.advance(1);
    assert_eq!(server.outputs(), [Output::ProbeFailed(WebSocket)]);
    assert!(server.session.is_open());
    assert!(server.transmit(WebSocket).is_empty(), "the dropped transport gets no more packets");
}

#[test]
fn a_finished_upgrade_has_no_timeout() {
    let mut server = server_with_rare_pings();
    let ping_due = server.session.poll_timeout();
    server.probe();
    server.receive(WebSocket, "5");
    assert_eq!(server.session.poll_timeout(), ping_due);
    server.advance(UPGRADE_TIMEOUT);
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
}

#[test]
fn a_client_drops_a_probe_that_the_server_never_answers() {
    let mut client = Harness::client(Polling);
    client.accept(Input::ProbeStarted(WebSocket));
    for _ in 0..UPGRADE_TIMEOUT / 250 {
        assert!(client.outputs().is_empty());
        client.advance(250);
        client.receive(Polling, "2");
    }
    assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)]);
    assert!(client.session.is_open());
}

#[test]
fn a_client_drops_a_probe_if_its_get_never_ends() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    client.send("a");
    for _ in 0..UPGRADE_TIMEOUT / 250 {
        assert!(!client.session.has_transmit(Polling));
        client.advance(250);
        client.receive(Polling, "2");
    }
    assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)]);
    assert_eq!(client.post(), ["3", "4a"]);
}

/// A server whose client has read the answer to its probe, without a request, and then closed it.
fn server_after_an_answered_probe() -> Harness {
    let mut server = server_with_rare_pings();
    server.probe();
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    assert_eq!(server.outputs(), [Output::ProbeFailed(WebSocket)]);
    server
}

/// The page was reloaded. JavaScript clients that have read the answer poll no more in any case.
#[test]
fn a_client_that_closes_an_answered_probe_and_makes_no_request_is_gone() {
    let mut server = server_after_an_answered_probe();
    server.advance(UPGRADE_TIMEOUT - 1);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::TransportClose));
}

#[test]
fn a_client_that_makes_a_request_after_an_answered_probe_lives() {
    for request in [Input::PollStarted, Input::PushStarted, Input::ProbeStarted(WebSocket)] {
        let mut server = server_after_an_answered_probe();
        server.advance(UPGRADE_TIMEOUT - 1);
        server.accept(request);
        server.advance(2 * UPGRADE_TIMEOUT);
        assert!(server.session.is_open());
    }
    // A GET waits while the probe is closed, and ends late.
    let mut server = server_with_rare_pings();
    server.probe();
    server.accept(Input::PollStarted);
    server.accept(Input::Lost(WebSocket, Loss::Failed));
    server.advance(2 * UPGRADE_TIMEOUT);
    server.accept(Input::PollFinished);
    server.advance(UPGRADE_TIMEOUT - 1);
    assert!(server.session.is_open());
    server.accept(Input::PollStarted);
    server.accept(Input::PollFinished);
    server.advance(UPGRADE_TIMEOUT);
    assert!(server.session.is_open());
}

#[test]
fn a_client_whose_probe_was_not_answered_needs_no_request() {
    let mut server = server_with_rare_pings();
    server.accept(Input::ProbeStarted(WebSocket));
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    server.advance(2 * UPGRADE_TIMEOUT);
    assert!(server.session.is_open());
}
