//! An awaited ack has exactly one outcome, and its table entry is removed with it.

use crate::support;

use std::time::Duration;

use socketio_server::{AckError, EmitError, Limits, Server, ServerConfig, Socket};
use support::{Client, HANG, Running, SOON, server, server_with, sockets, within};

/// At most one ack may be pending.
async fn with_one_place() -> Running {
    let limits = Limits::default().max_pending_acks(1);
    server_with(ServerConfig::default().limits(limits)).await
}

async fn connected(io: &Server, server: &Running) -> (Client, Socket) {
    let mut connected = sockets(&io.of("/"));
    let client = server.client().await;
    (client, within(connected.recv()).await.unwrap())
}

/// Reads an event that requests an ack. Returns its id.
async fn asked(client: &mut Client) -> String {
    let text = client.text().await;
    text.strip_prefix("42").and_then(|text| text.split_once('[')).unwrap().0.to_owned()
}

#[tokio::test]
async fn an_ack_resolves_with_its_value() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    for round in 0..3 {
        let answer = tokio::spawn({
            let socket = socket.clone();
            async move { socket.emit_with_ack::<(u32, String)>("question", &()).await }
        });
        let id = asked(&mut client).await;
        client.send(&format!(r#"43{id}[{round},"x"]"#)).await;
        assert_eq!(within(answer).await.unwrap().unwrap(), (round, "x".to_owned()));
    }
}

#[tokio::test]
async fn an_ack_without_a_value_is_null() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    for (list, expected) in [("[]", None), ("[null]", None), ("[7]", Some(7))] {
        let answer = tokio::spawn({
            let socket = socket.clone();
            async move {
                let value = socket.emit_with_ack::<serde_json::Value>("question", &()).await;
                value.map(|value| value.as_u64())
            }
        });
        let id = asked(&mut client).await;
        client.send(&format!("43{id}{list}")).await;
        assert_eq!(within(answer).await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_missing_ack_times_out_and_a_late_one_is_ignored() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let answer = socket.timeout(SOON).emit_with_ack::<()>("question", &());
    let error = within(answer).await.unwrap_err();
    assert!(matches!(error, AckError::Timeout));
    assert_eq!(error.to_string(), "operation has timed out");
    let id = asked(&mut client).await;
    client.send(&format!("43{id}[]")).await;
    client.fence().await;
    // The only entry is free again.
    let again = within(socket.timeout(SOON).emit_with_ack::<()>("question", &())).await;
    assert!(matches!(again, Err(AckError::Timeout)));
}

#[tokio::test]
async fn the_default_deadline_is_the_servers() {
    let server = server_with(ServerConfig::default().ack_timeout(SOON)).await;
    let (_client, socket) = connected(&server.io, &server).await;
    let answer = within(socket.emit_with_ack::<()>("question", &())).await;
    assert!(matches!(answer, Err(AckError::Timeout)));
}

#[tokio::test]
async fn an_earlier_deadline_expires_first() {
    let server = server().await;
    let (_client, socket) = connected(&server.io, &server).await;
    let later = socket.timeout(HANG * 100).emit_with_ack::<()>("later", &());
    let sooner = socket.timeout(SOON).emit_with_ack::<()>("sooner", &());
    tokio::select! {
        _ = later => panic!("the later one ended"),
        answer = within(sooner) => assert!(matches!(answer, Err(AckError::Timeout))),
    }
}

#[tokio::test]
async fn events_beyond_the_limit_wait_for_room_in_order() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let ask = |n: u32| {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<u32>("question", &n).await })
    };
    let asking: Vec<_> = (0..5).map(ask).collect();
    for n in 0..5 {
        let question = client.text().await;
        assert!(question.ends_with(&format!(r#"["question",{n}]"#)), "{question}");
        // The event that timed out was not sent.
        client.fence().await;
        let id = question.strip_prefix("42").and_then(|it| it.split_once('[')).unwrap().0;
        client.send(&format!("43{id}[{n}]")).await;
    }
    for (n, answer) in asking.into_iter().enumerate() {
        assert_eq!(within(answer).await.unwrap().unwrap() as usize, n);
    }
}

#[tokio::test]
async fn an_event_that_times_out_waiting_for_room_is_not_sent() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let first = socket.emit_with_ack::<()>("first", &());
    let others = async {
        let late = socket.timeout(SOON).emit_with_ack::<()>("late", &());
        assert!(matches!(within(late).await, Err(AckError::Timeout)));
        let volatile = socket.volatile().emit_with_ack::<()>("volatile", &());
        assert!(matches!(within(volatile).await, Err(AckError::TooManyPending)));
        let ends = socket.emit_with_ack::<()>("ends", &());
        let disconnect = async { socket.disconnect() };
        let (ended, ()) = within(async { tokio::join!(ends, disconnect) }).await;
        assert!(matches!(ended, Err(AckError::Emit(EmitError::Disconnected))), "{ended:?}");
    };
    let (first, ()) = tokio::join!(first, others);
    assert!(matches!(first, Err(AckError::Disconnected)), "{first:?}");
    asked(&mut client).await;
    client.expect("41").await;
}

#[tokio::test]
async fn an_event_that_waits_for_room_ends_with_its_socket() {
    let server = with_one_place().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let mut others = sockets(&server.io.of("/other"));
    client.connect("/other").await;
    let other = within(others.recv()).await.unwrap();
    let ask = |socket: &Socket| {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<()>("question", &()).await })
    };
    // The first holds the only place, and the second waits before the events of the other socket.
    let asking = [ask(&socket), ask(&socket)];
    asked(&mut client).await;
    let ends = [ask(&other), ask(&other)];
    client.fence().await;
    other.disconnect();
    for ended in ends {
        let ended = within(ended).await.unwrap();
        assert!(matches!(ended, Err(AckError::Emit(EmitError::Disconnected))), "{ended:?}");
    }
    assert!(asking.iter().all(|it| !it.is_finished()));
}

#[tokio::test]
async fn at_most_a_queue_of_events_waits_for_room() {
    let limits = Limits::default().max_pending_acks(1);
    let config = ServerConfig::default().limits(limits);
    let server = server_with(config.engine(|engine| engine.max_queued_packets(2))).await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let ask = || {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<()>("question", &()).await })
    };
    let mut asking = vec![ask(), ask(), ask(), ask()];
    // The deadlines expire in order, whichever event was sent last.
    let refused = async {
        loop {
            if let Some(at) = asking.iter().position(|it| it.is_finished()) {
                return asking.remove(at).await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(matches!(within(refused).await, Err(AckError::TooManyPending)));
    asked(&mut client).await;
    client.fence().await;
    assert!(asking.len() == 3 && asking.iter().all(|it| !it.is_finished()));
}

#[tokio::test]
async fn thousands_of_acks_can_be_awaited_at_once() {
    let server = server().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let ask = |n: u32| {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<u32>("question", &n).await })
    };
    let asking: Vec<_> = (0..3000).map(ask).collect();
    for n in 0..3000 {
        let id = asked(&mut client).await;
        client.send(&format!("43{id}[{n}]")).await;
    }
    for (n, answer) in asking.into_iter().enumerate() {
        assert_eq!(within(answer).await.unwrap().unwrap() as usize, n);
    }
}

#[tokio::test]
async fn a_dropped_future_frees_its_entry() {
    let server = with_one_place().await;
    let (_client, socket) = connected(&server.io, &server).await;
    for _ in 0..3 {
        let answer = socket.emit_with_ack::<()>("question", &());
        assert!(tokio::time::timeout(Duration::ZERO, answer).await.is_err(), "refused");
    }
}

#[tokio::test]
async fn every_disconnection_fails_awaited_acks() {
    type End = fn(&Socket, Client) -> Option<Client>;
    let ends: [End; 4] = [
        |_, client| {
            client.reset();
            None
        },
        // The connection stays open, so its end is not what fails the acks.
        |socket, client| {
            socket.disconnect();
            Some(client)
        },
        |socket, client| {
            socket.close_connection();
            Some(client)
        },
        |socket, client| {
            socket.conn().close(engineio_server::Unsent::Discard);
            Some(client)
        },
    ];
    for end in ends {
        let server = server().await;
        let (mut client, socket) = connected(&server.io, &server).await;
        let answer = tokio::spawn({
            let socket = socket.clone();
            async move { socket.timeout(HANG * 100).emit_with_ack::<()>("question", &()).await }
        });
        asked(&mut client).await;
        let _client = end(&socket, client);
        let error = within(answer).await.unwrap().unwrap_err();
        assert!(matches!(error, AckError::Disconnected), "{error:?}");
        let after = within(socket.emit_with_ack::<()>("question", &())).await;
        assert!(matches!(after, Err(AckError::Emit(EmitError::Disconnected))));
    }
}

#[tokio::test]
async fn a_client_that_leaves_its_namespace_fails_awaited_acks() {
    let server = server().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let answer = tokio::spawn(async move { socket.emit_with_ack::<()>("question", &()).await });
    let id = asked(&mut client).await;
    // An ack sent after the client has joined again does not resolve this one.
    client.burst(&["41", "40", &format!("43{id}[]")]).await;
    assert!(matches!(within(answer).await.unwrap(), Err(AckError::Disconnected)));
}

#[tokio::test]
async fn an_ack_of_another_type_is_an_error() {
    let server = server().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    let answer = tokio::spawn(async move { socket.emit_with_ack::<u32>("question", &()).await });
    let id = asked(&mut client).await;
    client.send(&format!(r#"43{id}["text"]"#)).await;
    assert!(matches!(within(answer).await.unwrap(), Err(AckError::Decode(_))));
}

/// Another thread sends the ack as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_ack_that_arrives_at_once_is_not_missed() {
    let server = server().await;
    let (mut client, socket) = connected(&server.io, &server).await;
    tokio::spawn(async move {
        loop {
            let id = asked(&mut client).await;
            client.send(&format!("43{id}[]")).await;
        }
    });
    for _ in 0..500 {
        within(socket.emit_with_ack::<()>("question", &())).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_volatile_event_fails_its_ack() {
    let server = with_one_place().await;
    let (_client, socket) = connected(&server.io, &server).await;
    while socket.emit("fill", &()).is_ok() {}
    for _ in 0..2 {
        let answer = within(socket.volatile().emit_with_ack::<()>("question", &())).await;
        assert!(matches!(answer, Err(AckError::Emit(EmitError::Full))));
    }
}

#[tokio::test]
async fn a_failed_handler_of_the_client_refuses_the_ack() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let remote = within(server.io.fetch_sockets()).await.unwrap().remove(0);
    for (answer, far) in [(0, false), (1, true)] {
        let (socket, remote) = (socket.clone(), remote.clone());
        let asked = tokio::spawn(async move {
            match far {
                true => remote.emit_with_ack::<u32>("ask", &()).await,
                false => socket.emit_with_ack::<u32>("ask", &()).await,
            }
        });
        client.expect(&format!(r#"42{answer}["ask"]"#)).await;
        client.send(&format!(r#"43{answer}[{{"error":"sold out","data":[7]}}]"#)).await;
        match within(asked).await.unwrap() {
            Err(error @ AckError::Refused { .. }) => {
                assert_eq!(error.to_string(), "sold out");
                let AckError::Refused { data, .. } = error else { unreachable!() };
                assert_eq!(data, Some(serde_json::json!([7])));
            }
            other => panic!("{far}: {other:?}"),
        }
    }
    // A type that fits the error object gets the object. Any other type is an error.
    let (one, two) = (socket.clone(), socket);
    let value = tokio::spawn(async move { one.emit_with_ack::<serde_json::Value>("v", &()).await });
    client.expect(r#"422["v"]"#).await;
    client.send(r#"432[{"error":"sold out"}]"#).await;
    let value = within(value).await.unwrap().unwrap();
    assert_eq!(value, serde_json::json!({ "error": "sold out" }));
    let decoded = tokio::spawn(async move { two.emit_with_ack::<u32>("d", &()).await });
    client.expect(r#"423["d"]"#).await;
    client.send(r#"433[{"error":"sold out","more":1}]"#).await;
    assert!(matches!(within(decoded).await.unwrap(), Err(AckError::Decode(_))));
}
