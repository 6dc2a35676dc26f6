//! The limits of the queue, the frames that each request carries, and the memory of an idle
//! session.

use crate::harness;

use engineio_parser::{
    Revision,
    Transport::{Polling, WebSocket},
    session::{Input, SendError, Session},
};
use harness::{Harness, config, message, with_attachments};

#[test]
fn a_full_queue_returns_the_refused_frames() {
    let mut config = config();
    config.max_queued_packets = 3;
    let mut server = Harness::server_with(config, Revision::V4, WebSocket);
    server.send("a");
    server.send("b");
    let refused = server.session.send(with_attachments("c", &["x"])).unwrap_err();
    assert!(matches!(refused, SendError::Full(_)));
    assert_eq!(server.session.queued_packets(), 2);
    assert_eq!(server.session.queued_bytes(), 4);

    assert_eq!(server.transmit(WebSocket), ["4a", "4b"]);
    server.session.send(refused.into_frames()).unwrap();
    assert_eq!(server.transmit(WebSocket), ["4c", "x"]);
}

#[test]
fn a_queue_has_room_again_when_half_of_it_is_free() {
    let mut config = config();
    config.max_queued_packets = 4;
    let mut server = Harness::server_with(config, Revision::V4, WebSocket);
    while server.session.send(message("a")).is_ok() {}
    for expected in [false, true] {
        assert!(!server.session.has_room());
        server.session.poll_transmit(WebSocket, usize::MAX).unwrap();
        assert_eq!(server.session.has_room(), expected);
    }
}

#[test]
fn a_queue_with_room_accepts_a_run_of_any_size() {
    let mut config = config();
    (config.max_queued_packets, config.max_queued_bytes) = (4, 8);
    for large in [message("larger than the limit"), with_attachments("a", &["b", "c", "d"])] {
        let mut server = Harness::server_with(config.clone(), Revision::V4, WebSocket);
        server.send("abc");
        assert!(server.session.has_room());
        server.session.send(large).unwrap();
        assert!(!server.session.has_room());
        assert!(matches!(server.session.send(message("")), Err(SendError::Full(_))));
    }
}

#[test]
fn the_queue_is_limited_by_bytes() {
    let mut config = config();
    config.max_queued_bytes = 5;
    let mut server = Harness::server_with(config, Revision::V4, WebSocket);
    server.send("larger than the limit, but alone");
    assert!(matches!(server.session.send(message("")), Err(SendError::Full(_))));
}

#[test]
fn a_request_carries_the_frames_that_fit_but_at_least_one() {
    let mut server = Harness::server(Polling);
    server.send("0123456789");
    server.send("a");
    server.session.send(with_attachments("b", &["xyz"])).unwrap();
    for expected in [vec!["40123456789"], vec!["4a", "4b"], vec!["xyz"]] {
        server.accept(Input::PollStarted);
        assert_eq!(server.transmit_within(Polling, 6), expected);
        assert!(!server.session.has_transmit(Polling), "this GET is complete");
        server.accept(Input::PollFinished);
    }
}

#[test]
fn a_ping_that_does_not_fit_waits_for_the_next_request() {
    let mut server = Harness::server(Polling);
    server.send("a");
    server.accept(Input::PollStarted);
    assert!(server.session.poll_transmit(Polling, 2).is_some());
    server.advance(300);
    assert!(server.session.poll_transmit(Polling, 0).is_none());
    server.accept(Input::PollFinished);
    assert_eq!(server.get(), ["2"]);
}

#[test]
fn a_polling_budget_counts_the_base64_form_of_binary() {
    let mut server = Harness::server(Polling);
    server.session.send(with_attachments("a", &["xyz"])).unwrap();
    server.accept(Input::PollStarted);
    // `4a` and `beHl6` have seven bytes together.
    assert_eq!(server.transmit_within(Polling, 6), ["4a"]);
    server.accept(Input::PollFinished);

    let mut server = Harness::server(Polling);
    server.session.send(with_attachments("a", &["xyz"])).unwrap();
    server.accept(Input::PollStarted);
    assert_eq!(server.transmit_within(Polling, 7), ["4a", "xyz"]);
}

#[test]
fn no_frame_leaves_on_polling_without_a_request() {
    let mut server = Harness::server(Polling);
    server.send("a");
    assert!(!server.session.has_transmit(Polling) && server.transmit(Polling).is_empty());

    let mut client = Harness::client(Polling);
    client.send("a");
    assert!(client.session.has_transmit(Polling), "a POST is worth making");
    assert!(client.transmit(Polling).is_empty());
    client.accept(Input::PushStarted);
    assert_eq!(client.transmit(Polling), ["4a"]);
    client.send("b");
    assert!(!client.session.has_transmit(Polling), "this POST has left");
}

#[test]
fn a_client_sends_nothing_before_the_handshake() {
    let mut client = Harness::opening_client(Revision::V4, WebSocket);
    client.send("a");
    assert!(!client.session.send_volatile(message("b")));
    assert!(client.transmit(WebSocket).is_empty());
    client.receive(
        WebSocket,
        r#"0{"sid":"s","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":100}"#,
    );
    assert_eq!(client.session.sid(), "s");
    assert_eq!(client.transmit(WebSocket), ["4a"]);
}

#[test]
fn a_volatile_run_needs_a_writable_transport() {
    let mut server = Harness::server(WebSocket);
    assert!(server.session.send_volatile(message("a")));
    assert!(!server.session.send_volatile(message("b")), "the queue is not empty");
    assert_eq!(server.transmit(WebSocket), ["4a"]);

    let mut server = Harness::server(Polling);
    assert!(!server.session.send_volatile(message("a")), "no GET waits");
    assert!(server.get().is_empty());
    assert!(server.session.send_volatile(message("b")));
    assert_eq!(server.answer_get(), ["4b"]);

    let mut client = Harness::client(Polling);
    assert!(client.session.send_volatile(message("a")));
    client.accept(Input::PushStarted);
    assert_eq!(client.transmit(Polling), ["4a"]);
    assert!(!client.session.send_volatile(message("b")), "a POST is in flight");
    client.accept(Input::PushFinished);
    client.accept(Input::PollStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    assert!(!client.session.send_volatile(message("c")), "the client is pausing");
}

#[test]
fn a_session_takes_at_most_500_bytes() {
    let size = std::mem::size_of::<Session>();
    assert!(size <= 500, "{size} bytes");
}
