//! The first ping is due one interval after the handshake. It is not sent immediately, and not
//! twice.

use crate::harness;

use engineio_parser::Transport::{Polling, WebSocket};
use harness::Harness;

#[test]
fn the_first_ping_on_websocket_comes_after_one_interval() {
    let mut server = Harness::server(WebSocket);
    assert!(server.transmit(WebSocket).is_empty());
    server.advance(299);
    assert!(server.transmit(WebSocket).is_empty());
    server.advance(1);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.advance(199);
    assert!(server.transmit(WebSocket).is_empty());
}

#[test]
fn the_first_ping_on_polling_comes_after_one_interval() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.advance(299);
    assert!(server.answer_get().is_empty());
    server.advance(1);
    assert_eq!(server.answer_get(), ["2"]);
    assert!(server.get().is_empty());
    server.advance(199);
    assert!(server.answer_get().is_empty());
}

#[test]
fn an_upgrade_does_not_change_the_time_of_the_first_ping() {
    let mut server = Harness::server(Polling);
    server.advance(150);
    server.probe();
    server.receive(WebSocket, "5");
    server.advance(149);
    assert!(server.transmit(WebSocket).is_empty());
    server.advance(1);
    assert_eq!(server.transmit(WebSocket), ["2"]);
}
