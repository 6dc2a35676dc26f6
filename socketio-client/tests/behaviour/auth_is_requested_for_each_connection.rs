//! Each connection calls the function for `auth` again, so that credentials are never outdated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use socketio_client::{ConnectError, HandlerError, Manager, Reconnection, SocketConfig};
use socketio_server::{Auth, Server};

use crate::support::{Log, Network, URL, connection_events, log, within};

fn tokens(io: &Server) -> Log<u32> {
    #[derive(serde::Deserialize)]
    struct Told {
        token: u32,
    }
    let (sender, log) = log();
    io.on_connection(move |Auth(Told { token }): Auth<Told>| {
        let _ = sender.send(token);
        async {}
    });
    log
}

fn counting() -> SocketConfig {
    let count = Arc::new(AtomicU32::new(0));
    SocketConfig::default().auth_with(move || {
        let token = count.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(json!({ "token": token }))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn every_connection_has_its_own_auth() {
    let io = Server::new();
    let mut tokens = tokens(&io);
    let network = Network::new(&io);
    let socket = network.manager().socket_with("/", counting());
    within(socket.connect()).await.unwrap();
    assert_eq!(tokens.next().await, 0);
    network.cut();
    assert_eq!(tokens.next().await, 1);
    socket.disconnect();
    within(socket.connect()).await.unwrap();
    assert_eq!(tokens.next().await, 2);
}

/// An error whose text cannot be formatted.
#[derive(Debug)]
struct Unprintable;

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no text")
    }
}

impl std::error::Error for Unprintable {}

#[tokio::test(start_paused = true)]
async fn an_error_of_auth_that_panics_when_it_is_formatted_is_reported() {
    let config =
        SocketConfig::default().auth_with(|| async { Err::<(), HandlerError>(Unprintable.into()) });
    let socket = Network::new(&Server::new()).manager().socket_with("/", config);
    let error = within(socket.connect()).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Auth(message) if message == "the function panicked"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_auth_is_reported_and_retried() {
    let io = Server::new();
    let mut tokens = tokens(&io);
    let count = Arc::new(AtomicU32::new(0));
    let config = SocketConfig::default().auth_with(move || {
        let token = count.fetch_add(1, Ordering::Relaxed);
        async move {
            match token {
                0 => Err(HandlerError::public("no token")),
                1 => panic!("no token at all"),
                2 => std::future::pending().await,
                _ => Ok(json!({ "token": token })),
            }
        }
    });
    let socket = Network::new(&io).manager().socket_with("/", config);
    let mut life = connection_events(&socket);
    let error = within(socket.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Auth(message) if message == "no token"));
    assert_eq!(tokens.next().await, 3);
    let expected = [
        "connect_error: cannot get auth: no token",
        "connect_error: cannot get auth: the function panicked",
        "connect_error: timeout",
        "connect",
    ];
    assert_eq!(life.take(4).await, expected);
}

#[tokio::test(start_paused = true)]
async fn failing_auth_is_requested_after_a_delay_even_if_the_client_reconnects_immediately() {
    let calls = Arc::new(AtomicU32::new(0));
    let network = Network::new(&Server::new());
    let reconnection = Reconnection::default().immediate(true).randomization_factor(0.0);
    let manager = Manager::with_config(URL, network.config().reconnection(reconnection)).unwrap();
    let count = calls.clone();
    let socket = manager.socket_with(
        "/",
        SocketConfig::default().auth_with(move || {
            let call = count.fetch_add(1, Ordering::Relaxed);
            async move {
                if call == 100 {
                    // Stops a client that never pauses, so that the test ends.
                    std::future::pending::<()>().await;
                }
                Err::<(), HandlerError>(HandlerError::public("no token"))
            }
        }),
    );
    socket.open();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}
