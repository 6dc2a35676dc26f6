//! How connections end, with which reason, and whether the client reconnects.

use crate::support::{
    case::{Case, everywhere},
    received, within,
};

everywhere!(
    the_server_disconnects_a_socket,
    the_server_closes_the_connection,
    the_client_reconnects_after_a_loss,
    the_client_disconnects,
    a_connect_right_after_leaving_waits_for_the_next_connection,
    events_emitted_before_leaving_arrive,
);

async fn the_server_disconnects_a_socket(case: Case) {
    let socket = case.connected().await;
    let (mut ends, mut connects) =
        (received::disconnections(&socket), received::connections(&socket));
    socket.emit("kick", &()).unwrap();
    assert_eq!(ends.next().await.to_string(), "io server disconnect");
    assert!(!socket.is_active() && !socket.is_connected() && socket.id().is_none());
    // The socket stays disconnected until it is opened.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert!(connects.take_received().is_empty());
    case.connect(&socket).await;
    assert_eq!(socket.emit_with_ack::<u32>("ack", &1).await.unwrap(), 1);
}

async fn the_server_closes_the_connection(case: Case) {
    let socket = case.connected().await;
    let mut ends = received::disconnections(&socket);
    socket.emit("close", &()).unwrap();
    assert_eq!(ends.next().await.to_string(), "io server disconnect");
    assert!(!socket.is_active());
}

async fn the_client_reconnects_after_a_loss(case: Case) {
    let socket = case.connected().await;
    let (mut ends, mut connects) =
        (received::disconnections(&socket), received::connections(&socket));
    let mut echo = received::events::<u32>(&socket, "echo");
    for n in 0..3 {
        let before = socket.id();
        socket.emit("lose", &()).unwrap();
        assert_eq!(ends.next().await.to_string(), "transport close");
        socket.emit("echo", &n).unwrap();
        connects.next().await;
        assert_ne!(socket.id(), before);
        assert_eq!(echo.next().await, n);
        case.via.reached(&socket).await;
    }
}

async fn the_client_disconnects(case: Case) {
    let socket = case.connected().await;
    let mut ends = received::disconnections(&socket);
    socket.disconnect();
    assert_eq!(ends.next().await.to_string(), "io client disconnect");
    // Events emitted now wait.
    socket.emit("echo", &1).unwrap();
    let mut echo = received::events::<u32>(&socket, "echo");
    case.connect(&socket).await;
    assert_eq!(echo.next().await, 1);
}

async fn a_connect_right_after_leaving_waits_for_the_next_connection(case: Case) {
    let socket = case.connected().await;
    for n in 0..5_u32 {
        let before = socket.id();
        socket.disconnect();
        within(socket.connect()).await.unwrap();
        assert_ne!(socket.id(), before);
        assert_eq!(within(socket.emit_with_ack::<u32>("ack", &n)).await.unwrap(), n);
    }
}

async fn events_emitted_before_leaving_arrive(case: Case) {
    let (socket, observer) = (case.connected().await, case.connected().await);
    let room = format!("observers of {:?}", socket.id());
    let mut cast = received::events::<u32>(&observer, "cast");
    observer.emit_with_ack::<()>("join", &room).await.unwrap();
    for n in 0..100 {
        socket.emit("cast", &(&room, n)).unwrap();
    }
    socket.disconnect();
    for n in 0..100 {
        assert_eq!(cast.next().await, n);
    }
    within(observer.emit_with_ack::<()>("ack", &())).await.unwrap();
}
