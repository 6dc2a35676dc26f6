//! Limits and heartbeats that the server announces.

use std::time::Duration;

use crate::support::{
    case::{Via, client, on_servers},
    peer::{Program, Setting},
    received, within,
};

on_servers!(
    bodies_stay_below_the_servers_limit,
    the_heartbeat_keeps_an_idle_connection_open,
    a_server_that_is_busy_for_a_while_is_waited_for,
    a_slow_reader_loses_nothing,
);

async fn bodies_stay_below_the_servers_limit(program: Program) {
    let server = Setting::new(program).with("MAX_PAYLOAD", 1000).start();
    let socket = client(&server.url(), "/", Via::Polling.config());
    let (mut echo, mut ends) =
        (received::events::<(u32, String)>(&socket, "echo"), received::disconnections(&socket));
    within(socket.connect()).await.unwrap();
    // Each event is below the limit, and together they are far above it.
    for n in 0..50 {
        socket.emit("echo", &(n, "x".repeat(300))).unwrap();
    }
    for n in 0..50 {
        assert_eq!(echo.next().await.0, n);
    }
    assert!(ends.take_received().is_empty());
}

async fn the_heartbeat_keeps_an_idle_connection_open(program: Program) {
    let heartbeat = Setting::new(program).with("PING_INTERVAL", 100).with("PING_TIMEOUT", 2000);
    let server = heartbeat.start();
    for via in Via::ALL {
        let socket = client(&server.url(), "/", via.config());
        let mut ends = received::disconnections(&socket);
        within(socket.connect()).await.unwrap();
        // Longer than a client without a heartbeat lives.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(ends.take_received().is_empty() && socket.is_connected(), "{via:?}");
        assert_eq!(within(socket.emit_with_ack::<u32>("ack", &1)).await.unwrap(), 1);
    }
}

async fn a_server_that_is_busy_for_a_while_is_waited_for(program: Program) {
    let heartbeat = Setting::new(program).with("PING_INTERVAL", 200).with("PING_TIMEOUT", 3000);
    let server = heartbeat.start();
    for via in Via::ALL {
        let socket = client(&server.url(), "/", via.config());
        let mut ends = received::disconnections(&socket);
        within(socket.connect()).await.unwrap();
        via.reached(&socket).await;
        socket.emit("hang", &400).unwrap();
        for n in 0..20_u32 {
            assert_eq!(within(socket.emit_with_ack::<u32>("ack", &n)).await.unwrap(), n);
        }
        assert!(ends.take_received().is_empty(), "{via:?}");
    }
}

async fn a_slow_reader_loses_nothing(program: Program) {
    const COUNT: u32 = 5000;
    let server = Setting::new(program).start();
    for via in Via::ALL {
        // Much less room than the events need.
        let socket = client(&server.url(), "/", via.config().max_inbox_bytes(10_000));
        within(socket.connect()).await.unwrap();
        via.reached(&socket).await;
        let mut events = socket.events();
        socket.emit("burst", &COUNT).unwrap();
        for n in 0..COUNT {
            if n % 1000 == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let event = within(events.next()).await.unwrap();
            assert_eq!(event.args.decode::<u32>().unwrap(), n, "{via:?}");
        }
        assert!(socket.is_connected(), "{via:?}");
    }
}
