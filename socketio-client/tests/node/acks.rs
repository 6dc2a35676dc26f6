//! Acks that never arrive, and events with retries.

use std::{process::Command, time::Duration};

use socketio_client::AckError;

use crate::support::{
    case::{Case, Via, client, everywhere},
    peer::{self, Program},
    received, within,
};

everywhere!(
    a_missing_ack_times_out,
    a_disconnection_ends_the_waiting,
    retries_stop_with_the_ack,
    retried_events_keep_their_order,
);

async fn a_missing_ack_times_out(case: Case) {
    let socket = case.connected().await;
    let silence = socket.timeout(Duration::from_millis(50)).emit_with_ack::<()>("silence", &());
    assert!(matches!(within(silence).await, Err(AckError::Timeout)));
    assert_eq!(socket.emit_with_ack::<u32>("ack", &1).await.unwrap(), 1);
}

async fn a_disconnection_ends_the_waiting(case: Case) {
    let socket = case.connected().await;
    let silence = socket.emit_with_ack::<()>("silence", &());
    let lose = async {
        // After the other event was sent.
        socket.emit_with_ack::<()>("ack", &()).await.unwrap();
        socket.emit("lose", &()).unwrap();
    };
    let (outcome, ()) = within(async { tokio::join!(silence, lose) }).await;
    assert!(matches!(outcome, Err(AckError::Disconnected)), "{outcome:?}");
}

async fn retries_stop_with_the_ack(case: Case) {
    let retrying = |socket: socketio_client::SocketConfig| {
        socket.retries(6).ack_timeout(Duration::from_millis(150))
    };
    let socket = client(&case.url(), "/", case.config().socket(retrying));
    within(socket.connect()).await.unwrap();
    // On the same connection, so that all attempts arrive before this.
    let attempts = async |key: &str| {
        let patient = socket.timeout(Duration::from_secs(120));
        patient.emit_with_ack::<u32>("attempts", &key).await.unwrap()
    };
    // The third attempt is acknowledged. On a busy machine its ack may come after a later attempt.
    let acked = format!("retried by {:?}", socket.id());
    let attempt: u32 = within(socket.emit_with_ack("flaky", &(&acked, 3))).await.unwrap();
    let sent = attempts(&acked).await;
    assert!(3 <= attempt && attempt <= sent, "{attempt} of {sent}");
    // An event that is never acknowledged is sent `retries + 1` times.
    let silent = format!("given up by {:?}", socket.id());
    let given_up = within(socket.emit_with_ack::<u32>("flaky", &(&silent, 100))).await;
    assert!(matches!(given_up, Err(AckError::Timeout)), "{given_up:?}");
    assert_eq!(attempts(&silent).await, 7);
    // In the meantime, the acknowledged event was not sent again.
    assert_eq!(attempts(&acked).await, sent);
}

async fn retried_events_keep_their_order(case: Case) {
    let retrying = |socket: socketio_client::SocketConfig| {
        socket.retries(10).ack_timeout(Duration::from_millis(500))
    };
    let socket = client(&case.url(), "/", case.config().socket(retrying));
    let mut connects = received::connections(&socket);
    within(socket.connect()).await.unwrap();
    connects.next().await;
    let beside = socket.manager().socket_with("/chat", socketio_client::SocketConfig::default());
    within(beside.connect()).await.unwrap();
    // Each ack contains the argument of its event. The connection is lost in the middle.
    let mut acks = Vec::new();
    for n in 0..20_u32 {
        if n == 10 {
            beside.emit("lose", &()).unwrap();
        }
        let socket = socket.clone();
        let ack = async move { socket.emit_with_ack::<u32>("ack", &n).await.unwrap() };
        acks.push(tokio::spawn(ack));
        tokio::task::yield_now().await;
    }
    for (n, ack) in acks.into_iter().enumerate() {
        assert_eq!(within(ack).await.unwrap() as usize, n);
    }
    within(connects.next()).await;
}

/// A program that emits three events with retries by Node's client, right before a disconnection.
/// Prints how often each event was sent: before the next connection, and in all.
const NODES_CLIENT: &str = r#"
    import { io } from "socket.io-client";
    const [url, key] = process.argv.slice(1);
    const socket = io(url, { retries: 3, ackTimeout: 5000 });
    const observer = io(url, { forceNew: true });
    const attempts = () => Promise.all([0, 1, 2].map((n) => observer.emitWithAck("attempts", key + n)));
    const until = async (enough) => { for (let sent; ; ) if (enough(sent = await attempts())) return sent; };
    await new Promise((connected) => socket.once("connect", connected));
    for (const n of [0, 1, 2]) socket.emit("flaky", key + n, n === 0 ? 2 : 1);
    const before = await until((sent) => sent[0] > 0);
    socket.disconnect();
    socket.connect();
    const after = await until((sent) => sent[2] > 0);
    console.log(JSON.stringify([before, after]));
    process.exit();
"#;

#[tokio::test]
async fn retried_events_behind_the_first_wait_for_the_next_connection_as_in_nodes_client() {
    let url = format!("http://127.0.0.1:{}", peer::shared(Program::Node(4), "json"));
    let mut node = Command::new("node");
    node.current_dir(std::env::var_os("PEER_PACKAGES").unwrap());
    node.args(["--input-type=module", "-e", NODES_CLIENT, &url, "Node's client "]);
    let output = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
    let of_node: [[u32; 3]; 2] = serde_json::from_slice(&output.stdout).unwrap();

    let retrying = |socket: socketio_client::SocketConfig| {
        socket.retries(3).ack_timeout(Duration::from_secs(5))
    };
    let config = Case { program: Program::Node(4), parser: "json", via: Via::Upgrade }.config();
    let observer = client(&url, "/", config.clone());
    within(observer.connect()).await.unwrap();
    let attempts = async || {
        let mut sent = [0; 3];
        for (n, sent) in sent.iter_mut().enumerate() {
            *sent = within(observer.emit_with_ack("attempts", &format!("our client {n}")))
                .await
                .unwrap();
        }
        sent
    };
    let socket = client(&url, "/", config.socket(retrying));
    within(socket.connect()).await.unwrap();
    for n in 0..3 {
        let from = if n == 0 { 2 } else { 1 };
        socket.emit("flaky", &(format!("our client {n}"), from)).unwrap();
    }
    within(async { while attempts().await[0] == 0 {} }).await;
    socket.disconnect();
    within(socket.manager().closed()).await;
    let before = attempts().await;
    within(socket.connect()).await.unwrap();
    // The queue sends one event at a time, so this one comes after the others.
    within(socket.emit_with_ack::<()>("ack", &())).await.unwrap();
    assert_eq!([before, attempts().await], of_node);
    assert_eq!(of_node, [[1, 0, 0], [2, 1, 1]]);
}
