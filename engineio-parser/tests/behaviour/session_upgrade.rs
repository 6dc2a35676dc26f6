//! An upgrade from polling to a message transport loses, repeats and reorders no message.

use crate::harness;

use engineio_parser::{
    FrameWriter, Revision,
    Transport::{Polling, WebSocket},
    session::{Input, Output, Violation},
};
use harness::{Harness, config, received};

#[test]
fn the_queue_belongs_to_polling_until_the_switch() {
    for revision in [Revision::V3, Revision::V4] {
        let mut server = Harness::server_with(config(), revision, Polling);
        server.send("a");
        server.probe();
        assert!(server.transmit(WebSocket).is_empty());
        assert_eq!(server.get(), ["4a"]);
        server.send("b");
        server.receive(WebSocket, "5");
        assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
        assert_eq!(server.session.transport(), WebSocket);
        assert_eq!(server.transmit(WebSocket), ["4b"]);
    }
}

#[test]
fn a_client_may_switch_without_a_probe() {
    let mut server = Harness::server(Polling);
    server.accept(Input::ProbeStarted(WebSocket));
    server.receive(WebSocket, "5");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
}

#[test]
fn the_answer_to_a_probe_precedes_all_data() {
    let mut server = Harness::server(Polling);
    server.send("a");
    server.accept(Input::ProbeStarted(WebSocket));
    server.receive(WebSocket, "2probe");
    server.receive(WebSocket, "5");
    assert_eq!(server.transmit(WebSocket), ["3probe", "4a"]);
}

#[test]
fn the_answer_to_a_probe_precedes_packed_messages() {
    let mut server = Harness::server(Polling);
    server.accept(Input::ProbeStarted(WebSocket));
    server.receive(WebSocket, "2probe");
    server.receive(WebSocket, "5");
    server.session.pack(true);
    let mut message = FrameWriter::message(Vec::new());
    message.buffer().push(b'a');
    server.session.send_message((&message).into()).unwrap();
    assert!(server.session.poll_packed(WebSocket).is_none());
    assert_eq!(server.transmit(WebSocket), ["3probe", "4a"]);
}

#[test]
fn polling_is_refused_after_the_switch() {
    let mut server = Harness::server(Polling);
    server.probe();
    server.receive(WebSocket, "5");
    assert_eq!(server.input(Input::PollStarted), Err(Violation::NotPolling));
    assert_eq!(server.input(Input::PushStarted), Err(Violation::NotPolling));
    server.receive(WebSocket, "4a");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket), received("a")]);
}

#[test]
fn packets_of_a_post_that_began_before_the_switch_are_delivered() {
    let mut server = Harness::server(Polling);
    server.probe();
    server.accept(Input::PushStarted);
    server.receive(WebSocket, "5");
    server.receive(Polling, "4a");
    server.accept(Input::PushFinished);
    server.receive(Polling, "4stray");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket), received("a")]);
}

#[test]
fn a_client_switches_when_its_requests_have_ended() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    client.accept(Input::PushStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    assert_eq!(client.transmit(WebSocket), ["2probe"]);
    client.receive(WebSocket, "3probe");
    client.send("a");
    assert!(!client.session.has_transmit(Polling));
    assert!(client.transmit(Polling).is_empty());

    client.receive(Polling, "4last");
    client.accept(Input::PollFinished);
    assert_eq!(client.outputs(), [received("last")]);
    assert_eq!(client.input(Input::PollStarted), Err(Violation::NotPolling));

    client.accept(Input::PushFinished);
    assert_eq!(client.outputs(), [Output::Upgraded(WebSocket)]);
    assert!(!client.session.has_transmit(Polling));
    assert_eq!(client.transmit(WebSocket), ["5", "4a"]);
}

#[test]
fn a_client_without_open_requests_switches_at_once() {
    let mut client = Harness::client(Polling);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    assert_eq!(client.outputs(), [Output::Upgraded(WebSocket)]);
}

#[test]
fn a_client_keeps_polling_while_it_probes() {
    let mut client = Harness::client(Polling);
    client.accept(Input::ProbeStarted(WebSocket));
    client.send("a");
    assert_eq!(client.post(), ["4a"]);
    client.accept(Input::PollStarted);
    client.accept(Input::PollFinished);
    assert!(client.session.is_upgrading() && client.outputs().is_empty());
}

#[test]
fn only_the_handshake_over_polling_offers_upgrades() {
    use engineio_parser::{OpenPacket, session::Session};
    use std::{sync::Arc, time::Instant};

    for (transport, offered) in [(Polling, vec![WebSocket]), (WebSocket, vec![])] {
        let now = Instant::now();
        let mut session =
            Session::server(now, Arc::new(config()), Revision::V4, transport, "sid".into());
        session.send(harness::message("a")).unwrap();
        let _ = session.handle_input(now, Input::PollStarted);
        let frame = session.poll_transmit(transport, usize::MAX).unwrap().payload();
        let open = OpenPacket::decode(std::str::from_utf8(&frame[1..]).unwrap()).unwrap();
        assert_eq!(open.upgrades, offered);
        assert_eq!(open.sid, "sid");
        assert_eq!(open.max_payload, Some(1_000_000));
        // A queued message may follow at once, as Node's `initialPacket` does.
        let next = session.poll_transmit(transport, usize::MAX).unwrap();
        assert_eq!(next.payload(), "4a");
    }
}
