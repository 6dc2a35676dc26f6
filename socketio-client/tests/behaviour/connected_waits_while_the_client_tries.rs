//! `connected` waits through failed attempts, and ends as soon as no attempt follows.

use std::time::Duration;

use socketio_client::{ConnectError, DisconnectReason, Manager, Reconnection, Socket};
use socketio_server::{HandlerError, Server};

use crate::support::{Network, URL, settle, within};

/// Starts to wait. The wait has registered when this returns.
async fn waiting(socket: &Socket) -> tokio::task::JoinHandle<Result<(), ConnectError>> {
    let socket = socket.clone();
    let waiting = tokio::spawn(async move { socket.connected().await });
    settle().await;
    assert!(!waiting.is_finished());
    waiting
}

#[tokio::test(start_paused = true)]
async fn connected_waits_through_failed_attempts() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let socket = network.socket("/");
    socket.open();
    let waiting = waiting(&socket).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(network.dialed() > 2 && !waiting.is_finished());
    network.replace(Some(&io));
    within(waiting).await.unwrap().unwrap();
    assert!(socket.is_connected());
    within(socket.connected()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connected_requests_no_connection() {
    let network = Network::new(&Server::new());
    let socket = network.socket("/");
    let error = within(socket.connected()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Inactive), "{error:?}");
    assert_eq!(network.dialed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_wait() {
    let io = Server::new();
    io.use_(|| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err::<(), _>(HandlerError::public("no"))
    });
    let socket = Network::new(&io).socket("/");
    socket.open();
    let error = within(waiting(&socket).await).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused { message, .. } if message == "no"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_ends_the_wait() {
    for reconnection in [Reconnection::default().attempts(2), Reconnection::off()] {
        let network = Network::new(&Server::new());
        network.down();
        let config = network.config().reconnection(reconnection);
        let socket = Manager::with_config(URL, config).unwrap().socket("/");
        socket.open();
        let error = within(socket.connected()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Transport(_)), "{error:?}");
        assert!(socket.is_active());
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnection_by_the_user_ends_the_wait() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    for (reason, end) in [
        (DisconnectReason::IoClientDisconnect, Socket::disconnect as fn(&Socket)),
        (DisconnectReason::ForcedClose, |socket| socket.manager().close()),
    ] {
        let socket = network.socket("/");
        socket.open();
        let waiting = waiting(&socket).await;
        end(&socket);
        let error = within(waiting).await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Closed(found) if found == reason), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_waited_for_again() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    network.down();
    settle().await;
    let waiting = waiting(&socket).await;
    network.replace(Some(&io));
    within(waiting).await.unwrap().unwrap();
}
