//! The machine's reaction to each packet in each state.

use std::time::{Duration, Instant};

use bytes::Bytes;
use engineio_parser::PacketData;
use socketio_parser::{
    AckRefused, Connection, DecodeError, Limits, Nsp, Output, PacketType, Protocol, Violation,
};

type Server = Connection<&'static str>;

const SECOND: Duration = Duration::from_secs(1);

fn root() -> Nsp {
    Nsp::root()
}

fn server() -> Server {
    Connection::server(Protocol::V5, Limits::default())
}

/// A server whose client has joined `/`.
fn connected() -> Server {
    let mut server = server();
    receive(&mut server, "0").unwrap();
    assert!(matches!(server.poll_output(), Some(Output::ConnectRequested { .. })));
    assert!(server.accept(&root()));
    server
}

fn receive(connection: &mut Server, text: &str) -> Result<(), Violation> {
    connection.handle_data(Instant::now(), PacketData::Text(text.into()))
}

/// All outputs, in short.
fn outputs(connection: &mut Server) -> Vec<String> {
    let output = || connection.poll_output();
    std::iter::from_fn(output)
        .map(|output| match output {
            Output::ConnectRequested { nsp, auth } => format!("connect {nsp} {auth:?}"),
            Output::TooManyNamespaces { nsp } => format!("too many {nsp}"),
            Output::Connected { nsp, payload } => format!("connected {nsp} {payload:?}"),
            Output::Refused { nsp, error } => format!("refused {nsp} {error:?}"),
            Output::Event { nsp, args, .. } => format!("event {nsp} {}", args.event()),
            Output::Acked { nsp, id, waiter, args } => {
                format!("acked {nsp} {id} {waiter} {}", args.raw())
            }
            Output::AckTimedOut { waiter } => format!("timed out {waiter}"),
            Output::AckFailed { waiter } => format!("failed {waiter}"),
            Output::Disconnected { nsp } => format!("disconnected {nsp}"),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_namespace_is_asked_for_granted_used_and_left() {
    let mut server = server();
    receive(&mut server, r#"0/a,{"token":1}"#).unwrap();
    assert_eq!(outputs(&mut server), [r#"connect /a Some({"token":1})"#]);
    let a = Nsp::new("/a").unwrap();
    assert!(!server.is_connected(&a));
    assert!(server.accept(&a));
    assert!(!server.accept(&a), "granted once");
    assert!(server.is_connected(&a) && !server.is_connected(&root()));
    receive(&mut server, r#"2/a,["hi"]"#).unwrap();
    assert_eq!(outputs(&mut server), ["event /a hi"]);
    receive(&mut server, "1/a,").unwrap();
    assert_eq!(outputs(&mut server), ["disconnected /a"]);
    assert!(!server.is_connected(&a));
    receive(&mut server, "0/a,").unwrap();
    assert_eq!(outputs(&mut server), ["connect /a None"]);
    assert!(server.refuse(&a) && !server.refuse(&a) && !server.accept(&a));
}

#[test]
fn what_the_state_does_not_allow_closes_the_connection() {
    let invalid = |kind| Err(Violation::InvalidState(kind));
    assert_eq!(receive(&mut server(), r#"2["e"]"#), invalid(PacketType::Event));
    assert_eq!(receive(&mut server(), "31[]"), invalid(PacketType::Ack));
    assert_eq!(receive(&mut connected(), "0"), invalid(PacketType::Connect));
    assert_eq!(receive(&mut connected(), "4{}"), invalid(PacketType::ConnectError));
    assert_eq!(receive(&mut connected(), r#"2/other,["e"]"#), invalid(PacketType::Event));
    // A second CONNECT before the response to the first. Node would create two sockets.
    let mut pending = server();
    receive(&mut pending, "0").unwrap();
    assert_eq!(receive(&mut pending, "0"), invalid(PacketType::Connect));
    assert_eq!(receive(&mut pending, r#"2["e"]"#), invalid(PacketType::Event));
    assert_eq!(
        invalid(PacketType::Event).unwrap_err().to_string(),
        "invalid state (packet type: 2)"
    );
}

#[test]
fn a_malformed_packet_closes_the_connection() {
    let unknown = Err(DecodeError::UnknownPacketType(Some('a')).into());
    assert_eq!(receive(&mut server(), "abc"), unknown);
    assert_eq!(receive(&mut connected(), "2{}"), Err(DecodeError::InvalidPayload.into()));
    for mut server in [server(), connected()] {
        let stray = PacketData::Binary(Bytes::from_static(b"x"));
        let stray = server.handle_data(Instant::now(), stray);
        assert_eq!(stray, Err(DecodeError::UnexpectedBinary.into()));
    }
}

#[test]
fn unexpected_acks_and_disconnects_are_ignored() {
    let mut server = connected();
    for text in ["3[1]", "37[1]", "3", "1/never", "1"] {
        receive(&mut server, text).unwrap();
    }
    assert_eq!(outputs(&mut server), ["disconnected /"]);
    receive(&mut server, "1").unwrap();
    assert_eq!(outputs(&mut server), [""; 0]);
}

/// A client that was disconnected from a namespace may still have sent events to it. They must not
/// close its other namespaces.
#[test]
fn packets_on_their_way_when_the_server_disconnects_are_ignored() {
    let mut server = connected();
    receive(&mut server, "0/a").unwrap();
    server.accept(&Nsp::new("/a").unwrap());
    outputs(&mut server);
    assert!(server.disconnect(&root()));
    assert!(!server.disconnect(&root()), "once");
    for text in [r#"2["late"]"#, "31[]", "1"] {
        receive(&mut server, text).unwrap();
    }
    assert_eq!(outputs(&mut server), [""; 0]);
    assert!(server.is_connected(&Nsp::new("/a").unwrap()));
    // The client joins again. Packets after that belong to the new join.
    receive(&mut server, "0").unwrap();
    assert_eq!(outputs(&mut server), ["connect / None"]);
    assert!(receive(&mut server, r#"2["early"]"#).is_err());
    // After the client has left by itself, no packet of it can be on its way.
    receive(&mut server, "1").unwrap();
    assert!(receive(&mut server, r#"2["after leaving"]"#).is_err());
}

#[test]
fn a_connect_that_is_withdrawn_is_not_granted() {
    let mut server = server();
    for text in ["0", "1", "0"] {
        receive(&mut server, text).unwrap();
    }
    assert_eq!(outputs(&mut server), ["connect / None", "disconnected /", "connect / None"]);
    receive(&mut server, "1").unwrap();
    assert!(!server.accept(&root()) && !server.refuse(&root()));
}

#[test]
fn pending_and_joined_namespaces_are_limited_together() {
    let limits = Limits::default().max_namespaces(2);
    let mut server = Server::server(Protocol::V5, limits);
    for text in ["0", "0/a", "0/b", "1/a", "0/b"] {
        receive(&mut server, text).unwrap();
    }
    let expected =
        ["connect / None", "connect /a None", "too many /b", "disconnected /a", "connect /b None"];
    assert_eq!(outputs(&mut server), expected);
}

#[test]
fn an_acknowledgement_reaches_its_waiter_once() {
    let mut server = connected();
    let now = Instant::now();
    server.expect_ack(now, &root(), 1.into(), SECOND, "one").unwrap();
    server.expect_ack(now, &root(), 2.into(), SECOND, "two").unwrap();
    let again = server.expect_ack(now, &root(), 2.into(), SECOND, "again");
    assert_eq!(again, Err((AckRefused::InUse, "again")));
    let elsewhere = server.expect_ack(now, &Nsp::new("/a").unwrap(), 3.into(), SECOND, "elsewhere");
    assert_eq!(elsewhere, Err((AckRefused::NotConnected, "elsewhere")));
    for text in ["32[true,[]]", "32[false]", "31[]"] {
        receive(&mut server, text).unwrap();
    }
    assert_eq!(outputs(&mut server), ["acked / 2 two true,[]", "acked / 1 one "]);
    server.expect_ack(now, &root(), 1.into(), SECOND, "forgotten").unwrap();
    assert_eq!(server.forget_ack(&root(), 1.into()), Some("forgotten"));
    assert_eq!((server.poll_timeout(), server.pending_acks()), (None, 0));
}

#[test]
fn acknowledgements_time_out_in_the_order_of_their_deadlines() {
    let mut server = connected();
    let now = Instant::now();
    for (id, seconds, waiter) in [(1, 3, "late"), (2, 1, "early"), (3, 2, "answered")] {
        server.expect_ack(now, &root(), id.into(), SECOND * seconds, waiter).unwrap();
    }
    receive(&mut server, "33[]").unwrap();
    outputs(&mut server);
    assert_eq!(server.poll_timeout(), Some(now + SECOND));
    server.handle_timeout(now + SECOND / 2).unwrap();
    assert_eq!(outputs(&mut server), [""; 0]);
    server.handle_timeout(now + SECOND).unwrap();
    assert_eq!(outputs(&mut server), ["timed out early"]);
    assert_eq!(server.poll_timeout(), Some(now + SECOND * 3));
    receive(&mut server, "32[\"too late\"]").unwrap();
    server.handle_timeout(now + SECOND * 4).unwrap();
    assert_eq!(outputs(&mut server), ["timed out late"]);
    assert_eq!((server.poll_timeout(), server.pending_acks()), (None, 0));
    // A deadline beyond the range of the clock.
    server.expect_ack(now, &root(), 1.into(), Duration::MAX, "never").unwrap();
}

#[test]
fn pending_acks_are_limited_and_a_refused_waiter_is_returned() {
    let mut server = Server::server(Protocol::V5, Limits::default().max_pending_acks(1));
    receive(&mut server, "0").unwrap();
    server.accept(&root());
    let now = Instant::now();
    server.expect_ack(now, &root(), 1.into(), SECOND, "first").unwrap();
    let second = server.expect_ack(now, &root(), 2.into(), SECOND, "second");
    assert_eq!(second, Err((AckRefused::TooMany, "second")));
}

#[test]
fn acks_fail_when_their_namespace_is_left() {
    let now = Instant::now();
    let with_acks = || {
        let mut server = connected();
        receive(&mut server, "0/a").unwrap();
        server.accept(&Nsp::new("/a").unwrap());
        outputs(&mut server);
        server.expect_ack(now, &root(), 1.into(), SECOND, "root").unwrap();
        server.expect_ack(now, &Nsp::new("/a").unwrap(), 1.into(), SECOND, "a").unwrap();
        server
    };
    let mut left = with_acks();
    receive(&mut left, "1").unwrap();
    assert_eq!(outputs(&mut left), ["failed root", "disconnected /"]);
    receive(&mut left, "0").unwrap();
    left.accept(&root());
    receive(&mut left, "31[\"of an earlier stay\"]").unwrap();
    assert_eq!(outputs(&mut left), ["connect / None"]);

    let mut put_out = with_acks();
    put_out.disconnect(&Nsp::new("/a").unwrap());
    assert_eq!(outputs(&mut put_out), ["failed a"]);

    let mut closed = with_acks();
    closed.close();
    assert_eq!(outputs(&mut closed), ["failed root", "failed a"]);
    assert_eq!((closed.poll_timeout(), closed.pending_acks()), (None, 0));
    assert!(!closed.is_connected(&root()));
}

#[test]
fn a_packet_whose_attachments_do_not_arrive_is_dropped_with_its_connection() {
    let mut server = connected();
    let now = Instant::now();
    let header = || PacketData::Text(r#"52-["e"]"#.into());
    server.handle_data(now, header()).unwrap();
    let limit = SECOND * 30;
    // A packet does not extend the deadline.
    server.handle_data(now + SECOND, PacketData::Binary(Bytes::from_static(b"x"))).unwrap();
    assert_eq!(server.poll_timeout(), Some(now + limit));
    server.handle_timeout(now + limit - SECOND).unwrap();
    assert_eq!(server.handle_timeout(now + limit), Err(Violation::UnfinishedTimeout));
    assert_eq!(server.poll_timeout(), None);

    let mut in_time = connected();
    in_time.handle_data(now, header()).unwrap();
    for _ in 0..2 {
        in_time.handle_data(now, PacketData::Binary(Bytes::from_static(b"x"))).unwrap();
    }
    assert_eq!(in_time.poll_timeout(), None);
    assert_eq!(outputs(&mut in_time), ["event / e"]);
}

#[test]
fn attachments_before_connect_have_the_same_limits() {
    let now = Instant::now();
    let announced = |count: usize| PacketData::Text(format!(r#"5{count}-["e"]"#).into());
    let binary = |bytes: usize| PacketData::Binary(vec![0; bytes].into());
    let too_many = Err(DecodeError::TooManyAttachments.into());
    assert_eq!(server().handle_data(now, announced(11)), too_many);

    let limit = 6;
    let limits = Limits::default().max_attachment_bytes(limit);
    let mut large = Server::server(Protocol::V5, limits);
    large.handle_data(now, announced(2)).unwrap();
    large.handle_data(now, binary(4)).unwrap();
    let too_large = Err(DecodeError::AttachmentsTooLarge { limit }.into());
    assert_eq!(large.handle_data(now, binary(4)), too_large);

    let mut unfinished = server();
    unfinished.handle_data(now, announced(2)).unwrap();
    assert_eq!(unfinished.poll_timeout(), Some(now + SECOND * 30));
    assert_eq!(unfinished.handle_timeout(now + SECOND * 30), Err(Violation::UnfinishedTimeout));

    let mut finished = server();
    finished.handle_data(now, announced(1)).unwrap();
    let invalid = Err(Violation::InvalidState(PacketType::Event));
    assert_eq!(finished.handle_data(now, binary(1)), invalid);
}

#[test]
fn a_client_of_protocol_v4_is_in_the_main_namespace_from_the_start() {
    let mut server = Server::server(Protocol::V4, Limits::default());
    assert_eq!(outputs(&mut server), ["connect / None"]);
    assert!(server.accept(&root()));
    receive(&mut server, r#"0/a?token=a%20b+c&x=1&x=%zz&flag,{"ignored":1}"#).unwrap();
    let expected = r#"connect /a Some({"token":"a b c","x":"%zz","flag":""})"#;
    assert_eq!(outputs(&mut server), [expected]);
    assert!(server.accept(&Nsp::new("/a").unwrap()));
    receive(&mut server, r#"2/a?token=a%20b+c,["e"]"#).unwrap();
    assert_eq!(outputs(&mut server), ["event /a e"]);
}

#[test]
fn a_client_of_protocol_v4_that_asks_for_the_main_namespace_violates_the_protocol() {
    for accepted in [false, true] {
        let mut server = Server::server(Protocol::V4, Limits::default());
        assert_eq!(outputs(&mut server), ["connect / None"]);
        assert_eq!(accepted, accepted && server.accept(&root()));
        assert!(receive(&mut server, "0").is_err());
    }
}

#[test]
fn in_protocol_v5_the_query_is_a_part_of_the_name() {
    let mut server = server();
    receive(&mut server, "0/a?x=1").unwrap();
    assert_eq!(outputs(&mut server), ["connect /a?x=1 None"]);
}

#[test]
fn a_client_asks_is_granted_refused_and_put_out() {
    let mut client = Server::client(Protocol::V5, Limits::default());
    assert!(client.connect(&root()) && !client.connect(&root()));
    assert!(client.connect(&Nsp::new("/a").unwrap()));
    // Recovered events precede the response to CONNECT. They are accepted only in a requested
    // namespace.
    for text in
        [r#"2["missed"]"#, r#"0{"sid":"x"}"#, r#"4/a,{"message":"no"}"#, r#"2/b,["e"]"#, "0/b"]
    {
        receive(&mut client, text).unwrap();
    }
    let expected =
        ["event / missed", r#"connected / Some({"sid":"x"})"#, r#"refused /a {"message":"no"}"#];
    assert_eq!(outputs(&mut client), expected);
    assert!(client.is_connected(&root()));
    client.expect_ack(Instant::now(), &root(), 0.into(), SECOND, "waiter").unwrap();
    receive(&mut client, "1").unwrap();
    assert_eq!(outputs(&mut client), ["failed waiter", "disconnected /"]);
    assert!(client.connect(&root()), "asked for again");
    // The client cannot use the operations of the server.
    assert!(!client.accept(&root()) && !client.refuse(&root()));
    assert!(!server().connect(&root()));
}

#[test]
fn the_response_to_an_overtaken_connect_is_replaced_by_the_next() {
    let mut client = Server::client(Protocol::V5, Limits::default());
    client.connect(&root());
    assert!(client.disconnect(&root()));
    receive(&mut client, r#"0{"sid":"nobody asked any more"}"#).unwrap();
    assert_eq!(outputs(&mut client), [""; 0]);
    client.connect(&root());
    for sid in ["old", "new"] {
        receive(&mut client, &format!("0{{\"sid\":\"{sid}\"}}")).unwrap();
    }
    let expected = [r#"connected / Some({"sid":"old"})"#, r#"connected / Some({"sid":"new"})"#];
    assert_eq!(outputs(&mut client), expected);
}

#[test]
fn a_fresh_connection_is_small() {
    // The rest of an idle connection may take 4 KiB, and none of this is on the heap.
    assert!(size_of::<Connection<usize>>() <= 640, "{}", size_of::<Connection<usize>>());
}
