//! Handlers of one socket start in the order of its events and overlap up to `max_in_flight`.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use engineio_server::TurnLimits;
use socketio_server::{Data, ServerConfig, Socket};
use support::{Log, Running, log, server_with, sockets, within};
use tokio::sync::Semaphore;

/// A server whose handlers of "work" log their start, wait for a permit, and log their end.
async fn working(max_in_flight: usize) -> (Running, Arc<Semaphore>, Log<String>) {
    let server = server_with(ServerConfig::default().max_in_flight(max_in_flight)).await;
    let (sender, log) = log();
    let permits = Arc::new(Semaphore::new(0));
    let handler_permits = permits.clone();
    server.io.on("work", move |Data(n): Data<u32>| {
        let (sender, permits) = (sender.clone(), handler_permits.clone());
        async move {
            let _ = sender.send(format!("start {n}"));
            permits.acquire().await.unwrap().forget();
            let _ = sender.send(format!("end {n}"));
        }
    });
    (server, permits, log)
}

fn work(count: u32) -> Vec<String> {
    (0..count).map(|n| format!(r#"42["work",{n}]"#)).collect()
}

async fn burst(client: &mut support::Client, events: &[String]) {
    client.burst(&events.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// In Node too. Another thread may therefore find the socket before its handler runs.
#[tokio::test]
async fn a_connection_handler_finds_its_own_socket_and_a_middleware_does_not() {
    let server = server_with(ServerConfig::default()).await;
    let (sender, mut log) = log();
    let found = move |at: &'static str| {
        let sender = sender.clone();
        move |socket: Socket| {
            let namespace = socket.namespace().clone();
            let _ = sender.send((at, namespace.socket(socket.id()).is_some()));
            namespace.emit(at, &1).unwrap();
            std::future::ready(())
        }
    };
    let handler = found("handler");
    let middleware = found("middleware");
    server.io.use_(middleware);
    server.io.on_connection(handler);
    let mut client = server.client().await;
    assert_eq!(log.next().await, ("middleware", false));
    assert_eq!(log.next().await, ("handler", true));
    client.expect(r#"42["handler",1]"#).await;
}

#[tokio::test]
async fn handlers_run_one_at_a_time_with_a_limit_of_one() {
    let (server, permits, mut log) = working(1).await;
    let mut client = server.client().await;
    burst(&mut client, &work(20)).await;
    permits.add_permits(20);
    for n in 0..20 {
        assert_eq!(log.next().await, format!("start {n}"));
        assert_eq!(log.next().await, format!("end {n}"));
    }
}

#[tokio::test]
async fn handlers_overlap_up_to_the_limit() {
    let (server, permits, mut log) = working(3).await;
    let mut client = server.client().await;
    burst(&mut client, &work(10)).await;
    // A later packet of another namespace is read after the events.
    support::fence(&server.io.of("/other"));
    client.connect("/other").await;
    client.send(r#"42/other,7["fence"]"#).await;
    client.expect("43/other,7[]").await;
    for n in 0..3 {
        assert_eq!(log.next().await, format!("start {n}"));
    }
    for n in 3..10 {
        assert!(log.rest().is_empty(), "more than three at once");
        permits.add_permits(1);
        assert!(log.next().await.starts_with("end "));
        assert_eq!(log.next().await, format!("start {n}"));
    }
}

#[tokio::test]
async fn thirty_two_handlers_overlap_by_default() {
    let started = Arc::new(AtomicUsize::new(0));
    let server = support::server().await;
    let counter = started.clone();
    server.io.on("hang", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>()
    });
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["hang"]"#; 40]).await;
    // The ack was sent last and is read last. It does not wait behind events.
    let answer = tokio::spawn(async move { socket.emit_with_ack::<()>("question", &()).await });
    let text = client.text().await;
    let id = text.strip_prefix("42").unwrap().split_once('[').unwrap().0;
    client.send(&format!("43{id}[]")).await;
    within(answer).await.unwrap().unwrap();
    assert_eq!(started.load(Ordering::Relaxed), 32);
}

#[tokio::test]
async fn synchronous_parts_of_handlers_run_in_order() {
    let (sender, mut log) = log();
    let server = support::server().await;
    server.io.on("event", move |Data(n): Data<u32>| {
        let _ = sender.send(n);
        async move {
            for _ in 0..n % 4 {
                tokio::task::yield_now().await;
            }
        }
    });
    let mut client = server.client().await;
    for n in 0..500 {
        client.burst(&[&format!(r#"42["event",{n}]"#)]).await;
    }
    for n in 0..500 {
        assert_eq!(log.next().await, n);
    }
}

#[tokio::test]
async fn a_waiting_handler_does_not_delay_another_socket() {
    let (server, permits, mut log) = working(1).await;
    let mut first = server.client().await;
    first.send(r#"42["work",1]"#).await;
    assert_eq!(log.next().await, "start 1");
    let mut second = server.client().await;
    second.send(r#"42["work",2]"#).await;
    assert_eq!(log.next().await, "start 2");
    permits.add_permits(2);
}

#[tokio::test]
async fn waiting_events_of_a_disconnected_socket_are_dropped() {
    let (server, permits, mut log) = working(1).await;
    let mut reasons = support::disconnections(&server.io.of("/"));
    let (sender, mut socket) = support::log();
    server.io.on_connection(move |one: Socket| {
        let _ = sender.send(one);
        async {}
    });
    let mut client = server.client().await;
    let socket = socket.next().await;
    burst(&mut client, &work(5)).await;
    assert_eq!(log.next().await, "start 0");
    client.send("41").await;
    reasons.next().await;
    // The running handler finishes, and can detect the disconnection.
    within(socket.disconnected()).await;
    permits.add_permits(5);
    assert_eq!(log.next().await, "end 0");
    client.connect("/").await;
    client.send(r#"42["work",9]"#).await;
    assert_eq!(log.next().await, "start 9");
    assert_eq!(log.next().await, "end 9");
}

/// The runtime has one thread, so a handler that computed in place would delay all clients.
#[tokio::test]
async fn a_computation_in_spawn_blocking_delays_no_client() {
    let server = support::server().await;
    let (finish, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    server.io.on("compute", move || {
        let wait = wait.clone();
        async move {
            let result = tokio::task::spawn_blocking(move || wait.lock().unwrap().recv().unwrap());
            Ok::<u32, socketio_server::HandlerError>(result.await?)
        }
    });
    server.io.on("echo", |Data(n): Data<u32>| async move { n });
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.send(r#"421["compute"]"#).await;
    for client in [&mut two, &mut one] {
        client.send(r#"422["echo",7]"#).await;
        client.expect("432[7]").await;
    }
    finish.send(5).unwrap();
    one.expect("431[5]").await;
}

fn messages(messages: u32) -> TurnLimits {
    let mut turn = TurnLimits::default();
    turn.messages = messages;
    turn
}

/// A server with one handler at a time per namespace. The handler waits for the gate.
async fn gated(
    turn: TurnLimits,
) -> (Running, tokio::sync::watch::Sender<bool>, Log<String>, support::Client) {
    let config = ServerConfig::default().max_in_flight(1).engine(|engine| engine.turn(turn));
    let server = server_with(config).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let (sender, log) = log();
    for nsp in ["/", "/other"] {
        let (gate, sender) = (gate.clone(), sender.clone());
        server.io.of(nsp).on("work", move |socket: Socket| {
            let (mut gate, sender) = (gate.clone(), sender.clone());
            async move {
                let _ = gate.wait_for(|open| *open).await;
                let _ = sender.send(socket.nsp().to_string());
            }
        });
    }
    let mut client = server.client().await;
    client.connect("/other").await;
    (server, open, log, client)
}

#[tokio::test]
async fn waiting_events_start_in_turns_that_have_no_room_for_messages() {
    let (server, open, mut log, mut client) = gated(messages(0)).await;
    burst(&mut client, &vec![r#"42["work"]"#.to_owned(); 5]).await;
    support::until(|| server.io.stats().events.received == 5).await;
    open.send(true).unwrap();
    for _ in 0..5 {
        log.next().await;
    }
}

#[tokio::test]
async fn waiting_events_of_a_busy_namespace_do_not_delay_another() {
    let (server, open, mut log, mut client) = gated(messages(1)).await;
    burst(&mut client, &vec![r#"42["work"]"#.to_owned(); 20]).await;
    burst(&mut client, &vec![r#"42/other,["work"]"#.to_owned(); 20]).await;
    support::until(|| server.io.stats().events.received == 40).await;
    open.send(true).unwrap();
    let mut ahead = 0_i32;
    for _ in 0..40 {
        ahead += if log.next().await == "/" { 1 } else { -1 };
        assert!(ahead.abs() <= 2, "the namespaces take turns");
    }
}

/// The clock is read after every fourth event. Another task runs between the turns, so it sees how
/// many events start in one.
#[tokio::test]
async fn waiting_events_start_in_turns_that_are_limited_by_time() {
    let mut turn = TurnLimits::default();
    turn.time = std::time::Duration::ZERO;
    let (server, open, mut log, mut client) = gated(turn).await;
    burst(&mut client, &vec![r#"42["work"]"#.to_owned(); 100]).await;
    support::until(|| server.io.stats().events.received == 100).await;
    open.send(true).unwrap();
    let other_task = tokio::spawn(async move {
        let (mut events, mut most) = (0, 0);
        while events < 100 {
            tokio::task::yield_now().await;
            let in_this_turn = log.rest().len();
            most = most.max(in_this_turn);
            events += in_this_turn;
        }
        most
    });
    let most = support::within(other_task).await.unwrap();
    assert!(most <= 8, "{most} events started without a pause");
}
