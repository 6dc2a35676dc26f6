//! A server that restarts, starts late, or refuses its clients.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use socketio_client::{ConnectError, ManagerEvent, Reconnection};

use crate::support::{
    case::{Via, client, on_servers},
    peer::{Program, Setting, free_port},
    received, within,
};

on_servers!(
    queued_events_arrive_once_and_in_order_after_a_restart,
    a_server_may_start_later_than_its_client,
    a_refusing_server_is_tried_again,
    attempts_end_at_their_limit,
    the_manager_reports_a_restart,
);

async fn queued_events_arrive_once_and_in_order_after_a_restart(program: Program) {
    for via in Via::ALL {
        let setting = Setting::new(program);
        let mut server = setting.start();
        let socket = client(&server.url(), "/", via.config());
        let (mut connects, mut ends) =
            (received::connections(&socket), received::disconnections(&socket));
        within(socket.connect()).await.unwrap();
        connects.next().await;
        via.reached(&socket).await;
        for _ in 0..2 {
            let port = server.kill();
            let reason = ends.next().await.to_string();
            assert!(
                ["transport close", "transport error"].contains(&&*reason),
                "{via:?}: {reason}"
            );
            let emitted: Vec<u32> = (0..100).collect();
            for n in &emitted {
                socket.emit("record", n).unwrap();
            }
            server = setting.start_on(port);
            connects.next().await;
            let recorded: Vec<u32> = within(socket.emit_with_ack("recorded", &())).await.unwrap();
            assert_eq!(recorded, emitted, "{via:?}");
            via.reached(&socket).await;
        }
    }
}

async fn a_server_may_start_later_than_its_client(program: Program) {
    for via in Via::ALL {
        let port = free_port();
        let socket = client(&format!("http://127.0.0.1:{}", port.number()), "/", via.config());
        let (mut connects, mut failures) =
            (received::connections(&socket), received::connect_errors(&socket));
        let error = within(socket.connect()).await.unwrap_err();
        let expected = if via == Via::WebSocket { "websocket error" } else { "xhr poll error" };
        assert_eq!(error.to_string(), expected);
        socket.emit("record", &1).unwrap();
        for _ in 0..3 {
            assert!(matches!(failures.next().await, ConnectError::Transport { .. }));
        }
        let _server = Setting::new(program).start_on(port);
        connects.next().await;
        let recorded: Vec<u32> = within(socket.emit_with_ack("recorded", &())).await.unwrap();
        assert_eq!(recorded, [1]);
    }
}

async fn a_refusing_server_is_tried_again(program: Program) {
    for via in Via::ALL {
        let refusing = Setting::new(program).with("REFUSE", 1).start();
        let socket = client(&refusing.url(), "/", via.config());
        let (mut connects, mut failures) =
            (received::connections(&socket), received::connect_errors(&socket));
        assert!(within(socket.connect()).await.is_err());
        for _ in 0..2 {
            failures.next().await;
        }
        let _server = Setting::new(program).start_on(refusing.kill());
        connects.next().await;
        assert!(socket.is_connected());
    }
}

async fn attempts_end_at_their_limit(_: Program) {
    // Accepts connections and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (timeout, delay) = (Duration::from_millis(200), Duration::from_millis(50));
    for via in Via::ALL {
        let policy = Reconnection::default().attempts(2).delay(delay).randomization_factor(0.0);
        let config = via.config().reconnection(policy).connect_timeout(timeout);
        let socket = client(&format!("http://{}", silent.local_addr().unwrap()), "/", config);
        let mut failures = received::connect_errors(&socket);
        let started = Instant::now();
        assert!(matches!(within(socket.connect()).await, Err(ConnectError::Timeout)));
        // The first attempt and two more, after 50 and 100 ms.
        for _ in 0..3 {
            assert!(matches!(failures.next().await, ConnectError::Timeout));
        }
        let took = started.elapsed();
        let expected = timeout * 3 + delay * 3;
        assert!(took >= expected, "{via:?}: {took:?} of {expected:?}");
        tokio::time::sleep(delay * 8).await;
        assert_eq!(
            failures
                .take_received()
                .iter()
                .filter(|it| !matches!(it, ConnectError::Stopped))
                .count(),
            0
        );
        assert!(!socket.is_connected());
    }
}

async fn the_manager_reports_a_restart(program: Program) {
    let setting = Setting::new(program);
    let server = setting.start();
    let socket = client(&server.url(), "/", Via::Upgrade.config());
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    socket.manager().on(move |event| {
        let name = match event {
            ManagerEvent::Open => "open",
            ManagerEvent::Upgrade(_) => "upgrade",
            ManagerEvent::Close { .. } => "close",
            ManagerEvent::ReconnectAttempt(1) => "attempt 1",
            ManagerEvent::ReconnectError(_) => "failed",
            ManagerEvent::Reconnect(_) => "reconnected",
            _ => return,
        };
        let _ = sender.send(name);
    });
    within(socket.connect()).await.unwrap();
    Via::Upgrade.reached(&socket).await;
    let port = server.kill();
    while !matches!(within(told.recv()).await, Some("failed")) {}
    let _server = setting.start_on(port);
    let mut after = Vec::new();
    while after.last() != Some(&"upgrade") {
        after.push(within(told.recv()).await.unwrap());
    }
    after.retain(|name| *name != "failed");
    assert_eq!(after, ["open", "reconnected", "upgrade"]);
}
