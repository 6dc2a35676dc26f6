//! At most one GET and one POST are open at a time. A second one ends the session.

use crate::harness;

use engineio_parser::{
    Transport::{Polling, WebSocket},
    session::{CloseReason, Input, Violation},
};
use harness::Harness;

#[test]
fn a_second_get_ends_the_session_and_the_first_get() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    assert_eq!(server.input(Input::PollStarted), Err(Violation::ConcurrentPoll));
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    assert_eq!(server.answer_get(), ["1"]);
    assert_eq!(server.input(Input::PollStarted), Err(Violation::Closed));
}

#[test]
fn a_second_post_ends_the_session() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::PushStarted);
    assert_eq!(server.input(Input::PushStarted), Err(Violation::ConcurrentPush));
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    assert_eq!(server.answer_get(), ["1"]);
    server.receive(Polling, "4late");
    server.accept(Input::PushFinished);
    assert!(server.outputs().is_empty());
}

#[test]
fn a_get_and_a_post_may_be_open_together() {
    let mut server = Harness::server(Polling);
    for _ in 0..3 {
        server.accept(Input::PollStarted);
        server.accept(Input::PushStarted);
        server.receive(Polling, "4a");
        server.accept(Input::PushFinished);
        server.send("b");
        assert_eq!(server.answer_get(), ["4b"]);
    }
    assert!(server.session.is_open());
}

#[test]
fn a_request_refused_for_its_size_leaves_the_session_alive() {
    let mut server = Harness::server(Polling);
    server.accept(Input::PushStarted);
    server.accept(Input::PushFinished);
    assert!(server.session.is_open());
    server.accept(Input::PushStarted);
}

#[test]
fn an_aborted_get_ends_the_session() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::PollAborted);
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    assert!(!server.session.has_transmit(Polling));
}

#[test]
fn an_aborted_post_ends_the_session() {
    let mut server = Harness::server(Polling);
    assert!(server.get().is_empty());
    server.accept(Input::PushStarted);
    server.accept(Input::PushAborted);
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    assert_eq!(server.answer_get(), ["1"]);
}

#[test]
fn a_session_on_websocket_refuses_polling_requests() {
    let mut server = Harness::server(WebSocket);
    assert_eq!(server.input(Input::PollStarted), Err(Violation::NotPolling));
    assert_eq!(server.input(Input::PushStarted), Err(Violation::NotPolling));
    assert!(server.session.is_open());
}

#[test]
fn a_client_makes_one_request_of_each_kind_at_a_time() {
    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    client.accept(Input::PushStarted);
    assert_eq!(client.input(Input::PushStarted), Err(Violation::ConcurrentPush));

    let mut client = Harness::client(Polling);
    client.accept(Input::PollStarted);
    assert_eq!(client.input(Input::PollStarted), Err(Violation::ConcurrentPoll));
}
