//! An unsolicited pong neither ends a session nor changes a deadline. A flood of pings causes one
//! pong.

use crate::harness;

use engineio_parser::{Revision, Transport::WebSocket, session::CloseReason};
use harness::{Harness, config};

#[test]
fn an_unsolicited_pong_changes_nothing() {
    let mut server = Harness::server(WebSocket);
    let due = server.session.poll_timeout();
    for _ in 0..1000 {
        server.receive(WebSocket, "3");
    }
    assert!(server.session.is_open());
    assert_eq!(server.session.poll_timeout(), due);
    assert!(server.outputs().is_empty() && server.transmit(WebSocket).is_empty());

    server.advance(200);
    server.receive(WebSocket, "3");
    server.advance(100);
    assert_eq!(server.transmit(WebSocket), ["2"]);
}

#[test]
fn a_pong_that_precedes_the_ping_does_not_answer_it() {
    let mut server = Harness::server(WebSocket);
    server.advance(400);
    server.receive(WebSocket, "3");
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.advance(100);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_second_pong_does_not_move_the_next_ping() {
    let mut server = Harness::server(WebSocket);
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.receive(WebSocket, "3");
    server.advance(200);
    server.receive(WebSocket, "3");
    server.advance(100);
    assert_eq!(server.transmit(WebSocket), ["2"]);
}

#[test]
fn a_flood_of_pings_causes_one_pong() {
    let mut server = Harness::server_with(config(), Revision::V3, WebSocket);
    for _ in 0..1000 {
        server.receive(WebSocket, "2");
    }
    assert_eq!(server.transmit(WebSocket), ["3"]);
}
