//! The exchanges that the official protocol test suites expect of a server, request by request.

use crate::harness;

use engineio_parser::{
    Revision,
    Transport::{Polling, WebSocket},
    session::{Input, Violation},
};
use harness::{Harness, config};

#[test]
fn an_echo_over_polling_contains_only_the_message() {
    let mut server = Harness::server(Polling);
    server.accept(Input::PushStarted);
    server.receive(Polling, "4hello");
    server.accept(Input::PushFinished);
    server.send("hello");
    assert_eq!(server.get(), ["4hello"]);
}

#[test]
fn a_heartbeat_over_polling_repeats() {
    let mut server = Harness::server(Polling);
    for _ in 0..3 {
        assert!(server.get().is_empty());
        server.advance(300);
        assert_eq!(server.answer_get(), ["2"]);
        server.accept(Input::PushStarted);
        server.receive(Polling, "3");
        server.accept(Input::PushFinished);
    }
    assert!(server.session.is_open());
}

#[test]
fn a_ping_of_revision_3_is_answered_over_polling() {
    let mut server = Harness::server_with(config(), Revision::V3, Polling);
    for _ in 0..3 {
        server.advance(400);
        server.accept(Input::PushStarted);
        server.receive(Polling, "2");
        server.accept(Input::PushFinished);
        assert_eq!(server.get(), ["3"]);
    }
}

#[test]
fn a_session_without_a_pong_is_closed_after_500_ms() {
    let mut server = Harness::server(Polling);
    server.advance(500);
    assert_eq!(server.input(Input::PollStarted), Err(Violation::Closed));
}

#[test]
fn a_get_during_an_upgrade_ends_with_a_noop_and_the_echo_comes_over_websocket() {
    for revision in [Revision::V3, Revision::V4] {
        let mut server = Harness::server_with(config(), revision, Polling);
        server.probe();
        assert!(server.get().is_empty());
        server.advance(100);
        assert_eq!(server.answer_get(), ["6"]);
        server.receive(WebSocket, "5");
        server.receive(WebSocket, "4hello");
        server.send("hello");
        assert_eq!(server.transmit(WebSocket), ["4hello"]);

        assert_eq!(server.input(Input::PollStarted), Err(Violation::NotPolling));
        let second = server.input(Input::ProbeStarted(WebSocket));
        assert_eq!(second, Err(Violation::UpgradeRefused));
        assert!(server.session.is_open());
    }
}
