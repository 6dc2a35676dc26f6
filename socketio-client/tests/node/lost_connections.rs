//! Cut lines and stalled servers: the client notices them within the configured time, and
//! reconnects.

use std::time::Duration;

use socketio_client::ConnectError;

use crate::support::{
    case::{Via, client, on_servers},
    peer::{Peer, Program, Setting},
    proxy::{Line, Proxy},
    received, within,
};

const INTERVAL: Duration = Duration::from_millis(300);
/// Longer than a pong takes on a busy machine.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Longer than a handshake takes on a busy machine.
const CONNECT: Duration = Duration::from_secs(3);

on_servers!(
    a_stalled_connection_ends_by_its_heartbeat,
    a_reset_line_is_noticed_at_once,
    a_half_open_connection_ends_by_its_heartbeat,
    a_stopped_server_is_noticed_by_the_heartbeat,
    a_line_that_stalls_while_connecting_is_given_up,
    a_stalled_line_that_comes_back_in_time_loses_nothing,
);

fn start(program: Program) -> Peer {
    let (interval, timeout) = (INTERVAL.as_millis(), TIMEOUT.as_millis());
    Setting::new(program).with("PING_INTERVAL", interval).with("PING_TIMEOUT", timeout).start()
}

async fn a_stalled_connection_ends_by_its_heartbeat(program: Program) {
    cut(program, Line::Stalls, &["ping timeout"]).await;
}

async fn a_half_open_connection_ends_by_its_heartbeat(program: Program) {
    cut(program, Line::HalfOpen, &["ping timeout"]).await;
}

async fn a_reset_line_is_noticed_at_once(program: Program) {
    cut(program, Line::Resets, &["transport error", "transport close"]).await;
}

/// Cuts the line and emits after the client has noticed. The events arrive once and in order when
/// the line is restored.
async fn cut(program: Program, line: Line, reasons: &[&str]) {
    for via in Via::ALL {
        let server = start(program);
        let proxy = Proxy::start(server.port).await;
        let socket = client(&proxy.url(), "/", via.config().connect_timeout(CONNECT));
        let (mut connects, mut ends) =
            (received::connections(&socket), received::disconnections(&socket));
        let mut failures = received::connect_errors(&socket);
        within(socket.connect()).await.unwrap();
        connects.next().await;
        via.reached(&socket).await;
        proxy.set(line);
        let reason = ends.next().await.to_string();
        assert!(reasons.contains(&&*reason), "{via:?}: {reason}");
        let emitted: Vec<u32> = (0..100).collect();
        for n in &emitted {
            socket.emit("record", n).unwrap();
        }
        failures.next().await;
        assert!(!socket.is_connected());
        proxy.set(Line::Passes);
        connects.next().await;
        let recorded: Vec<u32> = within(socket.emit_with_ack("recorded", &())).await.unwrap();
        assert_eq!(recorded, emitted, "{via:?}");
    }
}

async fn a_stopped_server_is_noticed_by_the_heartbeat(program: Program) {
    for via in Via::ALL {
        let server = start(program);
        let socket = client(&server.url(), "/", via.config().connect_timeout(CONNECT));
        let (mut connects, mut ends) =
            (received::connections(&socket), received::disconnections(&socket));
        let mut failures = received::connect_errors(&socket);
        within(socket.connect()).await.unwrap();
        connects.next().await;
        via.reached(&socket).await;
        server.signal("STOP");
        assert_eq!(ends.next().await.to_string(), "ping timeout", "{via:?}");
        // Its port still accepts connections, but the server does not respond.
        assert!(matches!(failures.next().await, ConnectError::Timeout), "{via:?}");
        server.signal("CONT");
        connects.next().await;
        assert_eq!(within(socket.emit_with_ack::<u32>("ack", &1)).await.unwrap(), 1);
    }
}

async fn a_line_that_stalls_while_connecting_is_given_up(program: Program) {
    for via in Via::ALL {
        let server = start(program);
        let proxy = Proxy::start(server.port).await;
        proxy.set(Line::Stalls);
        let socket = client(&proxy.url(), "/", via.config().connect_timeout(CONNECT));
        let mut connects = received::connections(&socket);
        assert!(matches!(within(socket.connect()).await, Err(ConnectError::Timeout)), "{via:?}");
        proxy.set(Line::Passes);
        connects.next().await;
    }
}

async fn a_stalled_line_that_comes_back_in_time_loses_nothing(program: Program) {
    let server = Setting::new(program).start();
    for via in Via::ALL {
        let proxy = Proxy::start(server.port).await;
        let socket = client(&proxy.url(), "/", via.config());
        let (mut ends, mut echo) =
            (received::disconnections(&socket), received::events::<u32>(&socket, "echo"));
        within(socket.connect()).await.unwrap();
        via.reached(&socket).await;
        for n in 0..300 {
            match n % 100 {
                10 => proxy.set(Line::Stalls),
                60 => tokio::time::sleep(Duration::from_millis(50)).await,
                90 => proxy.set(Line::Passes),
                _ => {}
            }
            socket.emit("echo", &n).unwrap();
        }
        for n in 0..300 {
            assert_eq!(echo.next().await, n, "{via:?}");
        }
        assert!(ends.take_received().is_empty());
        socket.disconnect();
    }
}
