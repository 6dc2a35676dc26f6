//! A client switches transports only after its GET has ended, so the server keeps no GET open
//! during an upgrade.

use crate::harness;

use engineio_parser::{
    Transport::{Polling, WebSocket},
    session::{Input, Loss, Output},
};
use harness::Harness;

#[test]
fn the_waiting_get_ends_when_the_probe_is_answered() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.probe();
    assert_eq!(server.answer_get(), ["6"]);
}

#[test]
fn every_later_get_ends_after_100_ms() {
    let mut server = Harness::server(Polling);
    server.probe();
    for _ in 0..2 {
        assert!(server.get().is_empty());
        server.advance(99);
        assert!(!server.session.has_transmit(Polling));
        server.advance(1);
        assert_eq!(server.answer_get(), ["6"]);
    }
}

#[test]
fn a_get_carries_queued_messages_instead_of_a_noop() {
    let mut server = Harness::server(Polling);
    server.probe();
    assert!(server.get().is_empty());
    server.send("a");
    assert_eq!(server.answer_get(), ["4a"]);

    assert!(server.get().is_empty(), "the noop of the previous GET does not end this one");
    server.advance(99);
    assert!(server.answer_get().is_empty());
    server.advance(1);
    server.send("b");
    assert_eq!(server.answer_get(), ["4b"]);
}

#[test]
fn a_get_that_waits_at_the_switch_ends_with_a_noop() {
    let mut server = Harness::server(Polling);
    server.probe();
    assert!(server.get().is_empty());
    server.receive(WebSocket, "5");
    server.send("a");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
    assert_eq!(server.answer_get(), ["6"]);
    assert_eq!(server.transmit(WebSocket), ["4a"]);
}

#[test]
fn a_get_aborted_after_the_switch_does_not_end_the_session() {
    let mut server = Harness::server(Polling);
    server.probe();
    assert!(server.get().is_empty());
    server.receive(WebSocket, "5");
    server.accept(Input::PollAborted);
    assert!(server.session.is_open());
}

#[test]
fn a_failed_probe_cancels_the_pending_noop() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.probe();
    assert!(server.session.has_transmit(Polling));
    server.accept(Input::Lost(WebSocket, Loss::Failed));
    assert!(!server.session.has_transmit(Polling));
    assert!(server.answer_get().is_empty());
}

#[test]
fn a_get_ends_even_if_the_3probe_is_delayed() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::ProbeStarted(WebSocket));
    server.receive(WebSocket, "2probe");
    assert!(!server.session.has_transmit(Polling), "a noop must not overtake the 3probe");
    server.advance(100);
    assert_eq!(server.answer_get(), ["6"]);
}

#[test]
fn a_get_waits_again_after_the_probe_has_failed() {
    let mut server = Harness::server(Polling);
    server.probe();
    assert!(server.get().is_empty());
    server.accept(Input::Lost(WebSocket, Loss::Failed));
    server.advance(299);
    assert!(server.answer_get().is_empty());
    server.advance(1);
    assert_eq!(server.answer_get(), ["2"]);
}
