//! Acks that never arrive, and events with retries.

use std::time::Duration;

use socketio_client::AckError;

use crate::support::{
    case::{Case, client, everywhere},
    seen, within,
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
        socket.retries(3).ack_timeout(Duration::from_millis(150))
    };
    let socket = client(&case.url(), "/", case.config().socket(retrying));
    within(socket.connect()).await.unwrap();
    let key = format!("retried by {:?}", socket.id());
    // The third attempt is acknowledged, and there is no fourth.
    let attempt: u32 = within(socket.emit_with_ack("flaky", &(&key, 3))).await.unwrap();
    assert_eq!(attempt, 3);
    assert_eq!(socket.emit_with_ack::<u32>("attempts", &key).await.unwrap(), 3);
    // An event that is never acknowledged is sent `retries + 1` times.
    let key = format!("given up by {:?}", socket.id());
    let given_up = within(socket.emit_with_ack::<u32>("flaky", &(&key, 100))).await;
    assert!(matches!(given_up, Err(AckError::Timeout)), "{given_up:?}");
    assert_eq!(socket.emit_with_ack::<u32>("attempts", &key).await.unwrap(), 4);
}

async fn retried_events_keep_their_order(case: Case) {
    let retrying = |socket: socketio_client::SocketConfig| {
        socket.retries(10).ack_timeout(Duration::from_millis(500))
    };
    let socket = client(&case.url(), "/", case.config().socket(retrying));
    let mut connects = seen::connects(&socket);
    within(socket.connect()).await.unwrap();
    connects.next().await;
    let beside = socket.manager().socket_with("/chat", socketio_client::SocketConfig::default());
    within(beside.connect()).await.unwrap();
    // Each ack contains the argument of its event. The connection is lost in the middle.
    let mut answers = Vec::new();
    for n in 0..20_u32 {
        if n == 10 {
            beside.emit("lose", &()).unwrap();
        }
        let socket = socket.clone();
        let answer = async move { socket.emit_with_ack::<u32>("ack", &n).await.unwrap() };
        answers.push(tokio::spawn(answer));
        tokio::task::yield_now().await;
    }
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(within(answer).await.unwrap() as usize, n);
    }
    within(connects.next()).await;
}
