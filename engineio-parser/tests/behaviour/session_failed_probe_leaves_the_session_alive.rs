//! After any failure of a second transport the session keeps polling and can try another upgrade.

use crate::harness;

use engineio_parser::{
    Transport::{Polling, WebSocket, WebTransport},
    session::{Input, Loss, Output, Violation},
};
use harness::{Harness, received};

fn assert_alive(server: &mut Harness, what: &str) {
    assert_eq!(server.outputs(), [Output::ProbeFailed(WebSocket)], "{what}");
    assert!(server.session.is_open() && !server.session.is_upgrading(), "{what}");
    assert_eq!(server.session.transport(), Polling);

    server.send("still here");
    assert_eq!(server.answer_get(), ["4still here"], "{what}");
    server.accept(Input::PushStarted);
    server.receive(Polling, "4me too");
    server.accept(Input::PushFinished);
    assert_eq!(server.outputs(), [received("me too")], "{what}");

    server.probe();
    server.receive(WebSocket, "5");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)], "{what}");
}

#[test]
fn an_unexpected_packet_fails_the_probe_only() {
    for packet in ["0", "1", "2", "2robe", "3", "3probe", "4a", "6"] {
        for answered in [false, true] {
            let mut server = Harness::server(Polling);
            assert!(server.get().is_empty());
            server.accept(Input::ProbeStarted(WebSocket));
            if answered {
                server.receive(WebSocket, "2probe");
            }
            server.receive(WebSocket, packet);
            assert_eq!(server.transmit(WebSocket), [""; 0]);
            assert_alive(&mut server, packet);
        }
    }
}

#[test]
fn malformed_input_fails_the_probe_only() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::ProbeStarted(WebSocket));
    server.accept(Input::Malformed(WebSocket));
    assert_alive(&mut server, "garbage");
}

#[test]
fn the_loss_of_the_probed_transport_fails_the_probe_only() {
    for loss in [Loss::Closed, Loss::Failed] {
        let mut server = Harness::server(Polling);
        assert!(server.get().is_empty());
        server.accept(Input::ProbeStarted(WebSocket));
        server.accept(Input::Lost(WebSocket, loss));
        assert_alive(&mut server, "loss");
    }
}

#[test]
fn a_second_transport_during_and_after_an_upgrade_is_refused() {
    let mut server = Harness::server(Polling);
    server.probe();
    for via in [WebSocket, WebTransport, Polling] {
        assert_eq!(server.input(Input::ProbeStarted(via)), Err(Violation::UpgradeRefused));
    }
    server.receive(WebSocket, "5");
    assert_eq!(server.input(Input::ProbeStarted(WebSocket)), Err(Violation::UpgradeRefused));
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
    assert!(server.session.is_open());
}

#[test]
fn a_client_resumes_polling_after_a_failed_probe() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PushStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    assert_eq!(client.input(Input::PollStarted), Err(Violation::NotPolling));

    client.accept(Input::Lost(WebSocket, Loss::Failed));
    assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)]);
    client.accept(Input::PushFinished);
    client.accept(Input::PollStarted);
    client.send("a");
    assert_eq!(client.post(), ["4a"]);
    assert!(client.transmit(WebSocket).is_empty());
}

#[test]
fn a_wrong_answer_to_a_client_fails_its_probe() {
    for packet in ["0", "1", "2probe", "3", "3robe", "4a", "5", "6"] {
        let mut client = Harness::client(Polling);
        client.accept(Input::PollStarted);
        client.accept(Input::ProbeStarted(WebSocket));
        client.receive(WebSocket, packet);
        assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)], "{packet}");
        assert!(client.session.is_open() && client.session.transport() == Polling);
        assert!(client.transmit(WebSocket).is_empty());
    }
}

#[test]
fn a_packet_after_the_3probe_fails_the_probe_of_a_client() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    client.accept(Input::ProbeStarted(WebSocket));
    client.receive(WebSocket, "3probe");
    client.receive(WebSocket, "4a");
    assert_eq!(client.outputs(), [Output::ProbeFailed(WebSocket)]);
}
