//! How sessions end, and which packets they send last.

use crate::harness;

use engineio_parser::{
    Revision,
    Transport::{Polling, WebSocket},
    session::{CloseReason, Input, Loss, Output, Reading, SendError, Unsent, Violation},
};
use harness::{Harness, message, with_attachments};

#[test]
fn a_clients_close_packet_ends_its_get_with_a_noop() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::PushStarted);
    server.receive(Polling, "1");
    server.receive(Polling, "4ignored");
    server.accept(Input::PushFinished);
    assert_eq!(server.outputs(), [Output::Closed(CloseReason::TransportClose)]);
    assert_eq!(server.answer_get(), ["6"]);
    assert_eq!(server.input(Input::PollStarted), Err(Violation::Closed));
    assert_eq!(server.input(Input::PushStarted), Err(Violation::Closed));
}

#[test]
fn a_server_ignores_a_close_packet_on_websocket() {
    let mut server = Harness::server(WebSocket);
    server.receive(WebSocket, "1");
    assert_eq!(server.close_reason(), None);
    assert!(server.session.is_open());
}

#[test]
fn a_waiting_get_carries_the_queue_and_the_next_one_the_close_packet() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.session.send(with_attachments("a", &["x"])).unwrap();
    server.close(Unsent::Send);
    assert!(!server.session.is_open() && !server.session.is_closed());
    assert_eq!(server.answer_get(), ["4a", "x"]);
    assert!(server.outputs().is_empty());
    assert_eq!(server.get(), ["6", "1"]);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_waiting_get_with_an_empty_queue_ends_with_the_close_packet() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.close(Unsent::Send);
    assert_eq!(server.answer_get(), ["1"]);
}

#[test]
fn a_get_made_after_the_close_gets_a_noop_first() {
    let mut server = Harness::server(Polling);
    server.close(Unsent::Send);
    server.advance(29_999);
    assert!(server.outputs().is_empty());
    assert_eq!(server.get(), ["6", "1"]);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_closing_session_waits_30_s_for_a_get() {
    let mut server = Harness::server(Polling);
    server.send("a");
    server.close(Unsent::Send);
    server.advance(30_000);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
    assert_eq!(server.session.queued_packets(), 0);
    assert_eq!(server.session.poll_timeout(), None);
}

#[test]
fn a_closing_session_fills_as_many_gets_as_it_needs() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.send("a");
    server.send("b");
    server.close(Unsent::Send);
    assert_eq!(server.transmit_within(Polling, 3), ["4a"]);
    server.accept(Input::PollFinished);
    assert!(server.outputs().is_empty());
    assert_eq!(server.get(), ["4b"]);
    assert_eq!(server.get(), ["6", "1"]);
}

#[test]
fn a_closing_websocket_is_drained_and_sends_no_close_packet() {
    let mut server = Harness::server(WebSocket);
    server.send("a");
    server.close(Unsent::Send);
    assert!(server.outputs().is_empty());
    assert_eq!(server.transmit(WebSocket), ["4a"]);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));

    let mut server = Harness::server(WebSocket);
    server.close(Unsent::Send);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_due_ping_does_not_delay_the_close() {
    let mut server = Harness::server(WebSocket);
    server.advance(300);
    server.close(Unsent::Send);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_close_that_discards_ends_the_session_and_the_waiting_get_at_once() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.send("a");
    server.close(Unsent::Discard);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
    assert_eq!(server.answer_get(), ["1"]);

    let mut server = Harness::server(Polling);
    server.send("a");
    server.close(Unsent::Send);
    server.close(Unsent::Discard);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
    assert_eq!(server.session.queued_bytes(), 0);
}

#[test]
fn a_closing_session_ignores_messages_and_accepts_none() {
    let mut server = Harness::server(WebSocket);
    server.send("a");
    server.close(Unsent::Send);
    server.receive(WebSocket, "4b");
    assert!(server.outputs().is_empty());
    let refused = server.session.send(message("c"));
    assert!(matches!(refused, Err(SendError::Closed(frames)) if frames.count() == 1));
    assert!(!server.session.send_volatile(message("d")));
    server.advance(1000);
    assert_eq!(server.transmit(WebSocket), ["4a"], "a closing session sends no ping");
}

#[test]
fn a_closing_session_that_loses_its_peer_keeps_its_close_reason() {
    for input in [Input::Lost(WebSocket, Loss::Failed), Input::Malformed(WebSocket)] {
        let mut server = Harness::server(WebSocket);
        server.send("a");
        server.close(Unsent::Send);
        server.accept(input);
        assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
        assert!(server.transmit(WebSocket).is_empty());
    }
}

#[test]
fn the_loss_of_the_transport_ends_the_session() {
    for (loss, reason) in
        [(Loss::Closed, CloseReason::TransportClose), (Loss::Failed, CloseReason::TransportError)]
    {
        let mut server = Harness::server(WebSocket);
        server.send("a");
        server.accept(Input::Lost(WebSocket, loss));
        assert_eq!(server.outputs(), [Output::Closed(reason)]);
        assert_eq!(server.session.poll_timeout(), None);
        assert!(server.transmit(WebSocket).is_empty());
        server.accept(Input::Lost(WebSocket, loss));
        assert!(server.outputs().is_empty());
    }
}

#[test]
fn malformed_input_closes_the_session_with_a_parse_error() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::PushStarted);
    server.accept(Input::Malformed(Polling));
    assert_eq!(server.close_reason(), Some(CloseReason::ParseError));
    assert_eq!(server.answer_get(), ["1"]);
}

#[test]
fn packets_that_a_server_does_not_expect_are_ignored() {
    for packet in ["0", "5", "6"] {
        let mut server = Harness::server(WebSocket);
        server.receive(WebSocket, packet);
        assert!(server.session.is_open() && server.outputs().is_empty());
    }
}

#[test]
fn a_closing_server_lets_the_client_finish_its_upgrade() {
    let mut server = Harness::server(Polling);
    server.probe();
    server.send("a");
    server.close(Unsent::Send);
    server.receive(WebSocket, "5");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
    assert_eq!(server.transmit(WebSocket), ["4a"]);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_server_that_closes_over_polling_drops_its_probe() {
    let mut server = Harness::server(Polling);
    server.probe();
    assert!(server.get().is_empty());
    server.close(Unsent::Send);
    assert_eq!(server.answer_get(), ["1"]);
    assert_eq!(
        server.outputs(),
        [Output::ProbeFailed(WebSocket), Output::Closed(CloseReason::ForcedClose)]
    );
}

#[test]
fn a_polling_client_posts_its_queue_and_then_the_close_packet_alone() {
    let mut client = Harness::client(Polling);
    client.send("a");
    client.close(Unsent::Send);
    assert!(client.session.has_transmit(Polling));
    assert_eq!(client.post(), ["4a"]);
    assert!(client.outputs().is_empty());
    assert!(client.session.has_transmit(Polling));
    assert_eq!(client.post(), ["1"]);
    assert_eq!(client.close_reason(), Some(CloseReason::ForcedClose));

    let mut client = Harness::client(Polling);
    client.send("a");
    client.accept(Input::PushStarted);
    assert_eq!(client.transmit(Polling), ["4a"]);
    client.close(Unsent::Send);
    assert!(!client.session.has_transmit(Polling), "not before the server has answered");
    client.accept(Input::PushFinished);
    assert_eq!(client.post(), ["1"]);

    let mut client = Harness::client(Polling);
    client.send("a");
    client.close(Unsent::Discard);
    assert_eq!(client.close_reason(), Some(CloseReason::ForcedClose));
    assert_eq!(client.post(), ["1"]);
    assert_eq!(client.input(Input::PushStarted), Err(Violation::Closed));
}

#[test]
fn a_client_that_closes_drops_its_upgrade() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    client.send("a");
    client.close(Unsent::Send);
    assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)]);
    assert_eq!(client.post(), ["4a"]);
    assert_eq!(client.post(), ["1"]);
}

#[test]
fn a_client_learns_of_the_servers_close() {
    let mut client = Harness::client(Polling);
    client.receive(Polling, "1");
    assert_eq!(client.close_reason(), Some(CloseReason::TransportClose));
    assert!(!client.session.has_transmit(Polling));
}

#[test]
fn a_client_closed_before_the_handshake_sends_nothing() {
    let mut client = Harness::opening_client(Revision::V4, Polling);
    client.send("a");
    client.close(Unsent::Send);
    assert_eq!(client.close_reason(), Some(CloseReason::ForcedClose));
    assert!(!client.session.has_transmit(Polling));
}

#[test]
fn a_malformed_handshake_ends_the_client_session() {
    for handshake in ["0", "0{}", "0[]"] {
        let mut client = Harness::opening_client(Revision::V4, WebSocket);
        client.receive(WebSocket, handshake);
        assert_eq!(client.close_reason(), Some(CloseReason::ParseError));

        let mut client = Harness::opening_client(Revision::V4, Polling);
        client.receive(Polling, handshake);
        assert_eq!(client.close_reason(), Some(CloseReason::ParseError));
        assert!(!client.session.has_transmit(Polling), "there is no session to close");
    }
}

#[test]
fn a_server_may_refuse_a_client_with_a_close_packet() {
    let mut client = Harness::opening_client(Revision::V4, WebSocket);
    client.receive(WebSocket, "1");
    assert_eq!(client.close_reason(), Some(CloseReason::TransportClose));
}

#[test]
fn a_closing_session_ends_when_its_peer_closes_too() {
    let mut server = Harness::server(Polling);
    server.send("a");
    server.close(Unsent::Send);
    server.accept(Input::PushStarted);
    server.receive(Polling, "1");
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_closing_session_has_no_heartbeat_deadline() {
    let mut server = Harness::server(Polling);
    server.advance(400);
    server.close(Unsent::Send);
    let due = server.session.poll_timeout();
    server.set_reading(Reading::Blind);
    server.set_reading(Reading::Open);
    assert_eq!(server.session.poll_timeout(), due);
}

#[test]
fn a_get_that_already_carries_frames_gets_no_close_packet() {
    let mut server = Harness::server(Polling);
    server.send("a");
    server.accept(Input::PollStarted);
    assert!(server.session.poll_transmit(Polling, usize::MAX).is_some());
    server.close(Unsent::Discard);
    assert!(!server.session.has_transmit(Polling));
    assert!(server.transmit(Polling).is_empty());
}

#[test]
fn a_closing_server_with_an_empty_queue_ends_at_the_upgrade() {
    let mut server = Harness::server(Polling);
    server.probe();
    server.close(Unsent::Send);
    server.receive(WebSocket, "5");
    assert_eq!(
        server.outputs(),
        [Output::Upgraded(WebSocket), Output::Closed(CloseReason::ForcedClose)]
    );
}

#[test]
fn a_lost_transport_carries_nothing_more() {
    let mut client = Harness::client(Polling);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    client.accept(Input::Lost(WebSocket, Loss::Failed));
    assert!(client.session.is_closed());
    assert!(!client.session.has_transmit(WebSocket) && client.transmit(WebSocket).is_empty());
}

#[test]
fn close_within_bounds_the_wait_of_a_closing_session() {
    let mut server = Harness::server(Polling);
    server.close_within(1);
    server.advance(1);
    assert!(server.outputs().is_empty(), "an open session is not affected");
    server.close(Unsent::Send);
    server.close_within(3000);
    server.advance(2999);
    assert_eq!(server.close_reason(), None);
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}
