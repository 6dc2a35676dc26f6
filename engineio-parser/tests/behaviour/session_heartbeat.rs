//! Which end pings, which end answers, and when silence ends a session.

use crate::harness;

use engineio_parser::{
    Revision,
    Transport::{Polling, WebSocket},
    session::{CloseReason, Input, Loss, Output, Reading},
};
use harness::{Harness, config, received};

#[test]
fn a_server_pings_one_interval_after_each_pong() {
    let mut server = Harness::server(WebSocket);
    for pong_after in [0, 150, 199] {
        server.advance(299);
        assert!(server.transmit(WebSocket).is_empty());
        server.advance(1);
        assert_eq!(server.transmit(WebSocket), ["2"]);
        server.advance(pong_after);
        server.receive(WebSocket, "3");
    }
    assert!(server.session.is_open() && server.outputs().is_empty());
}

#[test]
fn an_unanswered_ping_ends_a_server_after_the_timeout() {
    let mut server = Harness::server(WebSocket);
    server.advance(499);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
    assert_eq!(server.session.poll_timeout(), None);
}

#[test]
fn a_ping_timeout_ends_the_waiting_get_with_a_close_packet() {
    let mut server = Harness::server(Polling);
    server.advance(300);
    assert_eq!(server.get(), ["2"]);
    assert!(server.get().is_empty());
    server.advance(200);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
    assert_eq!(server.answer_get(), ["1"]);
}

#[test]
fn other_traffic_extends_the_wait_for_a_pong_once() {
    let mut server = Harness::server(WebSocket);
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.advance(100);
    server.receive(WebSocket, "4a");
    server.advance(100);
    assert!(server.session.is_open(), "the first packet extends the deadline");
    server.receive(WebSocket, "4b");
    server.advance(99);
    assert!(server.session.is_open());
    server.advance(1);
    assert!(server.session.is_closed(), "the second packet does not extend it");
}

#[test]
fn the_deadline_of_each_ping_can_be_extended() {
    let mut server = Harness::server(WebSocket);
    for _ in 0..3 {
        server.advance(300);
        assert_eq!(server.transmit(WebSocket), ["2"]);
        server.advance(150);
        server.receive(WebSocket, "4a");
        server.advance(150);
        server.receive(WebSocket, "3");
    }
    assert!(server.session.is_open());
}

#[test]
fn traffic_between_heartbeats_does_not_move_the_next_ping() {
    let mut server = Harness::server(WebSocket);
    for _ in 0..3 {
        server.advance(99);
        server.receive(WebSocket, "4a");
    }
    server.advance(3);
    assert_eq!(server.transmit(WebSocket), ["2"]);
}

#[test]
fn a_client_answers_pings_and_closes_if_the_next_is_late() {
    let mut client = Harness::client(WebSocket);
    client.advance(499);
    client.receive(WebSocket, "2");
    assert_eq!(client.transmit(WebSocket), ["3"]);
    client.receive(WebSocket, "4a");
    client.advance(499);
    assert!(client.session.is_open());
    client.receive(WebSocket, "4a");
    client.advance(1);
    assert_eq!(client.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_client_on_polling_sends_a_close_packet_after_a_ping_timeout() {
    let mut client = Harness::client(Polling);
    client.advance(500);
    assert_eq!(client.close_reason(), Some(CloseReason::PingTimeout));
    assert!(client.session.has_transmit(Polling));
    assert_eq!(client.post(), ["1"]);
}

#[test]
fn a_client_of_revision_3_sends_the_pings() {
    let mut client = Harness::client_with(Revision::V3, WebSocket);
    client.advance(300);
    assert_eq!(client.transmit(WebSocket), ["2"]);
    client.advance(199);
    client.receive(WebSocket, "3");
    client.advance(299);
    assert!(client.transmit(WebSocket).is_empty());
    client.advance(1);
    assert_eq!(client.transmit(WebSocket), ["2"]);
    client.advance(200);
    assert_eq!(client.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_server_of_revision_3_answers_pings_and_only_pings_extend_its_deadline() {
    let mut server = Harness::server_with(config(), Revision::V3, WebSocket);
    server.advance(499);
    server.receive(WebSocket, "2");
    assert_eq!(server.transmit(WebSocket), ["3"]);
    server.advance(400);
    server.receive(WebSocket, "4a");
    assert_eq!(server.outputs(), [received("a")]);
    server.advance(99);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_heartbeat_packet_of_the_wrong_direction_ends_a_server_session() {
    for (revision, packet) in [(Revision::V4, "2"), (Revision::V3, "3")] {
        let mut server = Harness::server_with(config(), revision, WebSocket);
        server.receive(WebSocket, packet);
        assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    }
}

#[test]
fn a_client_ignores_a_heartbeat_packet_of_the_wrong_direction() {
    for (revision, packet) in [(Revision::V4, "3"), (Revision::V3, "2")] {
        let mut client = Harness::client_with(revision, WebSocket);
        client.receive(WebSocket, packet);
        assert!(client.session.is_open() && client.transmit(WebSocket).is_empty());
    }
}

#[test]
fn a_peer_that_is_not_read_has_no_pong_deadline() {
    let mut server = Harness::server(WebSocket);
    server.advance(300);
    server.advance(100);
    server.set_reading(Reading::Blind);
    server.advance(10_000);
    assert!(server.session.is_open());
    server.set_reading(Reading::Open);
    server.advance(199);
    assert!(server.session.is_open(), "the deadline starts anew");
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_ping_sent_while_suspended_gets_its_deadline_on_resumption() {
    let mut server = Harness::server(WebSocket);
    server.set_reading(Reading::Blind);
    server.set_reading(Reading::Blind);
    server.advance(10_000);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.set_reading(Reading::Open);
    server.receive(WebSocket, "3");
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["2"]);
}

#[test]
fn a_resumption_before_a_ping_starts_no_deadline() {
    let mut server = Harness::server(WebSocket);
    server.set_reading(Reading::Blind);
    server.set_reading(Reading::Open);
    server.advance(300);
    assert!(server.session.is_open());
    assert_eq!(server.transmit(WebSocket), ["2"]);
}

#[test]
fn a_resumption_without_suspension_does_not_extend_the_deadline() {
    let mut server = Harness::server(WebSocket);
    server.advance(400);
    server.set_reading(Reading::Open);
    server.advance(100);
    assert!(server.session.is_closed());
}

#[test]
fn the_deadline_of_revision_3_is_suspended_too() {
    let mut server = Harness::server_with(config(), Revision::V3, WebSocket);
    server.set_reading(Reading::Blind);
    server.advance(10_000);
    server.set_reading(Reading::Open);
    server.advance(499);
    assert!(server.session.is_open());
    server.advance(1);
    assert!(server.session.is_closed());
}

#[test]
fn a_watched_peer_that_sends_stays_open_and_is_pinged() {
    let mut server = Harness::server(WebSocket);
    server.set_reading(Reading::Watched);
    for _ in 0..10 {
        server.advance(300);
        assert_eq!(server.transmit(WebSocket), ["2"]);
        server.advance(199);
        server.heard();
    }
    assert!(server.session.is_open());
}

#[test]
fn a_silent_watched_peer_times_out() {
    let mut server = Harness::server(WebSocket);
    server.set_reading(Reading::Watched);
    server.advance(300);
    server.advance(199);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn data_that_arrives_before_a_ping_is_sent_does_not_answer_it() {
    let mut server = Harness::server(WebSocket);
    server.set_reading(Reading::Watched);
    server.advance(300);
    server.advance(100);
    server.heard();
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.advance(199);
    assert!(server.session.is_open(), "it shows that the peer is alive");
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_watched_client_of_revision_3_gets_a_pong_when_it_sends() {
    let mut server = Harness::server_with(config(), Revision::V3, WebSocket);
    server.set_reading(Reading::Watched);
    for _ in 0..10 {
        server.advance(499);
        server.heard();
        assert_eq!(server.transmit(WebSocket), ["3"]);
    }
    server.advance(500);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn requests_keep_a_watched_polling_client_alive() {
    let mut server = Harness::server(Polling);
    server.set_reading(Reading::Watched);
    assert!(server.get().is_empty());
    for _ in 0..10 {
        server.advance(300);
        assert_eq!(server.answer_get(), ["2"]);
        server.advance(199);
        // Its pong may have to wait, but its GET shows that it is alive.
        assert!(server.get().is_empty());
    }
    server.advance(300);
    assert_eq!(server.answer_get(), ["2"]);
    server.advance(199);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_blind_server_keeps_pinging_until_the_pause_timeout() {
    for (revision, beat) in [(Revision::V4, "2"), (Revision::V3, "3")] {
        let mut config = config();
        config.pause_timeout = std::time::Duration::from_millis(2000);
        let mut server = Harness::server_with(config, revision, WebSocket);
        server.set_reading(Reading::Blind);
        for _ in 0..6 {
            server.advance(300);
            assert_eq!(server.transmit(WebSocket), [beat]);
        }
        server.advance(199);
        assert!(server.session.is_open());
        server.advance(1);
        assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
    }
}

#[test]
fn a_server_that_is_no_longer_blind_expects_the_pong_in_time() {
    for next in [Reading::Open, Reading::Watched] {
        let mut server = Harness::server(WebSocket);
        server.set_reading(Reading::Blind);
        server.advance(1000);
        assert_eq!(server.transmit(WebSocket), ["2"]);
        server.set_reading(next);
        server.advance(199);
        assert!(server.session.is_open());
        server.advance(1);
        assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
    }
}

#[test]
fn control_outputs_can_be_taken_before_messages() {
    let mut server = Harness::server(Polling);
    server.receive(Polling, "4a");
    server.accept(Input::ProbeStarted(WebSocket));
    server.accept(Input::Lost(WebSocket, Loss::Failed));
    assert_eq!(server.session.poll_control_output(), Some(Output::ProbeFailed(WebSocket)));
    assert_eq!(server.session.poll_control_output(), None);
    assert_eq!(server.outputs(), [received("a")]);
}

#[test]
fn extreme_timings_do_not_end_a_session() {
    let mut client = Harness::opening_client(Revision::V4, Polling);
    client.receive(
        Polling,
        r#"0{"sid":"a","upgrades":[],"pingInterval":4294967295,"pingTimeout":4294967295}"#,
    );
    client.advance(1 << 32);
    assert!(client.session.is_open());
    client.accept(Input::Lost(Polling, Loss::Failed));
}

#[test]
fn a_sleep_brings_the_next_ping_forward() {
    let mut server = Harness::server(WebSocket);
    server.sleep(100);
    server.advance(199);
    assert!(server.transmit(WebSocket).is_empty());
    server.advance(1);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.receive(WebSocket, "3");
    server.sleep(3_600_000);
    server.advance(0);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.advance(199);
    assert!(server.session.is_open());
    server.advance(1);
    assert_eq!(server.close_reason(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_sleep_does_not_shorten_the_wait_for_a_pong() {
    let mut server = Harness::server(WebSocket);
    server.advance(300);
    assert_eq!(server.transmit(WebSocket), ["2"]);
    server.sleep(3_600_000);
    server.advance(199);
    server.receive(WebSocket, "3");
    assert!(server.session.is_open());
}

#[test]
fn a_sleep_changes_nothing_for_an_end_that_sends_no_pings() {
    let mut server = Harness::server_with(config(), Revision::V3, WebSocket);
    server.sleep(3_600_000);
    server.advance(499);
    assert!(server.session.is_open() && server.transmit(WebSocket).is_empty());
}
