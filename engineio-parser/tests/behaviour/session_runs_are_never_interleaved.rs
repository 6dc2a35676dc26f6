//! No other packet, not even a ping, is sent between a text packet and its attachments. This holds
//! across requests and across an upgrade.

use crate::harness;

use engineio_parser::Transport::{Polling, WebSocket};
use harness::{Harness, message, with_attachments};

#[test]
fn a_run_is_not_interrupted_by_a_ping_or_another_message() {
    let mut server = Harness::server(WebSocket);
    server.session.send(with_attachments("a", &["x", "y"])).unwrap();
    assert_eq!(server.session.poll_transmit(WebSocket, usize::MAX).unwrap().payload(), "4a");
    server.send("b");
    server.advance(300);
    assert!(!server.session.send_volatile(message("c")));
    assert_eq!(server.transmit(WebSocket), ["x", "y", "2", "4b"]);
}

#[test]
fn a_run_is_not_interrupted_by_the_end_of_a_request() {
    let mut server = Harness::server(Polling);
    server.session.send(with_attachments("a", &["x", "y"])).unwrap();
    server.send("b");
    server.accept(engineio_parser::session::Input::PollStarted);
    assert_eq!(server.transmit_within(Polling, 3), ["4a"]);
    server.accept(engineio_parser::session::Input::PollFinished);
    server.advance(300);
    assert_eq!(server.get(), ["x", "y", "2", "4b"]);
}

#[test]
fn a_run_is_not_interrupted_by_an_upgrade() {
    let mut server = Harness::server(Polling);
    server.session.send(with_attachments("a", &["x", "y"])).unwrap();
    server.send("b");
    server.accept(engineio_parser::session::Input::PollStarted);
    assert_eq!(server.transmit_within(Polling, 3), ["4a"]);
    server.accept(engineio_parser::session::Input::PollFinished);
    server.probe();
    server.receive(WebSocket, "5");
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["x", "y", "2", "4b"]);
}

#[test]
fn a_ping_precedes_runs_that_have_not_begun() {
    let mut server = Harness::server(WebSocket);
    server.session.send(with_attachments("a", &["x"])).unwrap();
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["2", "4a", "x"]);
}
