//! Handlers start in the order of their events. A slow handler delays neither heartbeat, acks nor
//! other namespaces. A panic ends only its handler.

use std::time::Duration;

use socketio_client::{Ack, Data, Event, Socket, SocketConfig};
use socketio_server::{Args, Server};

use crate::support::{Network, connection_events, log, peer, settle, within};

fn echoing() -> Server {
    let io = Server::new();
    for nsp in ["/", "/other"] {
        io.of(nsp).on("echo", |args: Args| async move { args });
    }
    io
}

#[tokio::test(start_paused = true)]
async fn each_handler_starts_after_the_one_before_has_started() {
    let io = echoing();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |Data(n): Data<u64>| {
        let sender = sender.clone();
        let _ = sender.send(format!("starts {n}"));
        async move {
            tokio::time::sleep(Duration::from_secs(10 - n)).await;
            let _ = sender.send(format!("ends {n}"));
        }
    });
    within(socket.connect()).await.unwrap();
    for n in 0..3 {
        io.emit("n", &n).unwrap();
    }
    let expected = ["starts 0", "starts 1", "starts 2", "ends 2", "ends 1", "ends 0"];
    assert_eq!(seen.take(6).await, expected);
}

#[tokio::test(start_paused = true)]
async fn handlers_run_one_at_a_time_if_configured() {
    let io = echoing();
    let manager = Network::new(&io).manager();
    let socket = manager.socket_with("/", SocketConfig::default().max_in_flight(1));
    let (sender, mut seen) = log();
    socket.on("n", move |Data(n): Data<u64>| {
        let sender = sender.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(10 - n)).await;
            let _ = sender.send(n);
        }
    });
    within(socket.connect()).await.unwrap();
    for n in 0..5 {
        io.emit("n", &n).unwrap();
    }
    assert_eq!(seen.take(5).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_delays_no_other() {
    let io = echoing();
    let manager = Network::new(&io).manager();
    let config = SocketConfig::default().max_in_flight(1);
    let (socket, other) = (manager.socket_with("/", config), manager.socket("/other"));
    let mut life = connection_events(&socket);
    socket.on("slow", std::future::pending::<()>);
    let (sender, mut seen) = log();
    other.on("quick", move || {
        let _ = sender.send(());
        async {}
    });
    within(socket.connect()).await.unwrap();
    within(other.connect()).await.unwrap();
    io.emit("slow", &()).unwrap();
    io.emit("slow", &()).unwrap();
    settle().await;
    assert_eq!(within(socket.emit_with_ack::<u32>("echo", &1)).await.unwrap(), 1);
    io.of("/other").emit("quick", &()).unwrap();
    seen.next().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(life.rest(), ["connect"], "the heartbeat goes on");
}

#[tokio::test(start_paused = true)]
async fn handlers_emit_ask_and_disconnect_without_a_deadlock() {
    let io = echoing();
    let socket = Network::new(&io).socket("/");
    let (sender, mut seen) = log();
    socket.on("go", move |socket: Socket| {
        let sender = sender.clone();
        async move {
            socket.emit("echo", &1)?;
            let echoed: u32 = socket.emit_with_ack("echo", &2).await?;
            socket.on("more", || async {});
            let other = socket.manager().socket("/other");
            other.connect().await?;
            socket.disconnect();
            let _ = sender.send(echoed);
            Ok(())
        }
    });
    socket.manager().on({
        let socket = socket.clone();
        move |_| drop(socket.emit("noticed", &()))
    });
    within(socket.connect()).await.unwrap();
    io.emit("go", &()).unwrap();
    assert_eq!(seen.next().await, 2);
    socket.manager().off();
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_handler_alone() {
    let io = echoing();
    let socket = Network::new(&io).socket("/");
    socket.on("n", |Data(n): Data<u32>, ack: Ack| async move {
        if n == 1 {
            panic!("one");
        }
        ack.send(&n)?;
        Ok(())
    });
    socket.handle(Event::<u32, u32>::new("typed"), |_, n| {
        if n == 1 {
            panic!("before the future");
        }
        async move { n }
    });
    within(socket.connect()).await.unwrap();
    let peer = peer(&io, &socket);
    for event in ["n", "typed"] {
        peer.emit_with_ack::<serde_json::Value>(event, &1).await.unwrap();
        assert_eq!(within(peer.emit_with_ack::<u32>(event, &2)).await.unwrap(), 2);
    }
}
