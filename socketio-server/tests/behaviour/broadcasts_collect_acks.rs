//! A broadcast that requests acks is encoded once, and ends when every recipient has acked or left.

use crate::support;

use socketio_server::{BroadcastAckError, EmitError, Limits, ServerConfig, Value};
use support::{Client, HANG, SOON, server, server_with, sockets, until, within};

/// Sends the ack of the next event. All recipients got the same frame.
async fn send_ack(client: &mut Client, text: &str) -> String {
    let question = client.text().await;
    let id = question.strip_prefix("42").unwrap().split_once('[').unwrap().0;
    client.send(&format!("43{id}[{text}]")).await;
    question
}

#[tokio::test]
async fn a_broadcast_collects_all_acks() {
    let server = server().await;
    let mut clients = [server.client().await, server.client().await, server.client().await];
    let io = server.io.clone();
    let acks = tokio::spawn(async move { io.emit_with_ack::<u32>("question", &()).await });
    let mut questions = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        questions.push(send_ack(client, &n.to_string()).await);
    }
    let mut acks = within(acks).await.unwrap().unwrap();
    acks.sort_unstable();
    assert_eq!(acks, [0, 1, 2]);
    assert!(questions.iter().all(|question| *question == questions[0]));
}

#[tokio::test]
async fn a_broadcast_without_recipients_collects_no_acks() {
    let server = server().await;
    let acks = within(server.io.to("nobody").emit_with_ack::<u32>("question", &())).await;
    assert!(acks.unwrap().is_empty());
}

#[tokio::test]
async fn a_timeout_returns_the_acks_that_arrived() {
    let limits = Limits::default().max_pending_acks(1);
    let server = server_with(ServerConfig::default().limits(limits)).await;
    let (mut good, _silent) = (server.client().await, server.client().await);
    for round in 0..2 {
        let io = server.io.clone();
        let acks = tokio::spawn(async move {
            io.timeout(SOON * 5).emit_with_ack::<String>("question", &()).await
        });
        send_ack(&mut good, r#""yes""#).await;
        let error = within(acks).await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "1 clients have not acknowledged", "round {round}");
        let BroadcastAckError::Partial { responses, missing, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((responses, missing), (vec!["yes".to_owned()], 1));
    }
}

#[tokio::test]
async fn an_ack_of_another_type_counts_as_missing() {
    let server = server().await;
    let (mut good, mut bad) = (server.client().await, server.client().await);
    let io = server.io.clone();
    let acks = tokio::spawn(async move { io.emit_with_ack::<u32>("question", &()).await });
    send_ack(&mut bad, r#""text""#).await;
    send_ack(&mut good, "7").await;
    let error = within(acks).await.unwrap().unwrap_err();
    assert!(
        matches!(error, BroadcastAckError::Partial { responses, missing: 1, .. } if responses == [7])
    );
}

#[tokio::test]
async fn an_ack_without_a_value_is_null_as_in_node() {
    let server = server().await;
    let (mut nothing, mut null) = (server.client().await, server.client().await);
    let io = server.io.clone();
    let acks = tokio::spawn(async move {
        let values = io.emit_with_ack::<Value>("question", &()).await;
        let options = io.emit_with_ack::<Option<u32>>("question", &()).await;
        (values, options)
    });
    for _ in 0..2 {
        send_ack(&mut nothing, "").await;
        send_ack(&mut null, "null").await;
    }
    let (values, options) = within(acks).await.unwrap();
    assert_eq!(values.unwrap(), [Value::Null, Value::Null]);
    assert_eq!(options.unwrap(), [None, None]);
}

#[tokio::test]
async fn a_client_that_leaves_is_not_waited_for() {
    let server = server().await;
    let (mut good, mut leaves, breaks) =
        (server.client().await, server.client().await, server.client().await);
    let io = server.io.clone();
    let acks =
        tokio::spawn(
            async move { io.timeout(HANG * 100).emit_with_ack::<u32>("question", &()).await },
        );
    send_ack(&mut good, "7").await;
    leaves.text().await;
    leaves.send("41").await;
    breaks.reset();
    let error = within(acks).await.unwrap().unwrap_err();
    assert!(matches!(error, BroadcastAckError::Partial { missing: 2, .. }));
}

#[tokio::test]
async fn a_dropped_future_leaves_no_entries() {
    let limits = Limits::default().max_pending_acks(1);
    let server = server_with(ServerConfig::default().limits(limits)).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    {
        let abandoned = server.io.emit_with_ack::<u32>("question", &());
        assert!(tokio::time::timeout(std::time::Duration::ZERO, abandoned).await.is_err());
    }
    client.text().await;
    let asked = tokio::spawn(async move { socket.emit_with_ack::<u32>("again", &()).await });
    send_ack(&mut client, "1").await;
    assert_eq!(within(asked).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_client_with_a_full_queue_counts_as_missing() {
    let config = ServerConfig::default()
        .overflow(socketio_server::Overflow::Drop)
        .engine(|engine| engine.max_queued_packets(2));
    let server = server_with(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    while socket.emit("fill", &()).is_ok() {}
    let patient = server.io.timeout(HANG * 100);
    let asked = patient.emit_with_ack::<u32>("question", &());
    let error = within(asked).await.unwrap_err();
    assert!(matches!(error, BroadcastAckError::Partial { missing: 1, .. }));
    let refused = server.io.emit_with_ack::<u32>("disconnect", &()).await.unwrap_err();
    assert!(matches!(refused, BroadcastAckError::Emit(EmitError::Encode(_))));
    until(|| socket.conn().queued().packets == 0).await;
}

#[tokio::test]
async fn a_recipient_whose_acks_are_all_awaited_is_asked_when_there_is_room() {
    let limits = Limits::default().max_pending_acks(1);
    let server = server_with(ServerConfig::default().limits(limits)).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let earlier = tokio::spawn(async move { socket.emit_with_ack::<u32>("earlier", &()).await });
    let first = client.text().await;
    let io = server.io.clone();
    let acks = tokio::spawn(async move { io.emit_with_ack::<u32>("question", &()).await });
    client.fence().await;
    let id = first.strip_prefix("42").unwrap().strip_suffix(r#"["earlier"]"#).unwrap();
    client.send(&format!("43{id}[1]")).await;
    assert_eq!(within(earlier).await.unwrap().unwrap(), 1);
    send_ack(&mut client, "2").await;
    assert_eq!(within(acks).await.unwrap().unwrap(), [2]);
}
