//! `retries`: one event at a time until the server has acknowledged it, with a limited number of
//! attempts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use socketio_client::{AckError, Limits, Manager, SocketConfig};
use socketio_server::{Ack, Args, Server};

use crate::support::{Log, Network, URL, log, settle, within};

fn config() -> SocketConfig {
    SocketConfig::default().retries(2).ack_timeout(Duration::from_secs(1))
}

/// A server that acknowledges the events `n`, and their numbers.
fn acknowledging() -> (Server, Log<u32>) {
    let io = Server::new();
    let (sender, seen) = log();
    io.on("n", move |args: Args, ack: Ack| {
        let _ = sender.send(args.decode::<u32>().unwrap());
        let _ = ack.send(&());
        async {}
    });
    (io, seen)
}

#[tokio::test(start_paused = true)]
async fn an_event_has_one_attempt_more_than_retries() {
    let io = Server::new();
    let (sender, mut seen) = log();
    io.on_any(move |args: Args, ack: Ack| {
        let _ = sender.send(args.event().to_owned());
        async move {
            if args.event() == "answered" {
                ack.send("yes")?;
            }
            Ok(())
        }
    });
    let socket = Network::new(&io).manager().socket_with("/", config());
    socket.emit("silence", &()).unwrap();
    let answer = socket.emit_with_ack::<String>("answered", &());
    socket.open();
    assert_eq!(within(answer).await.unwrap(), "yes");
    assert_eq!(seen.rest(), ["silence", "silence", "silence", "answered"]);
    let error = within(socket.emit_with_ack::<String>("silence", &())).await.unwrap_err();
    assert!(matches!(error, AckError::Timeout));
    assert_eq!(seen.rest().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn order_and_events_outlive_lost_connections() {
    let io = Server::new();
    let (sender, mut seen) = log();
    let count = Arc::new(AtomicU32::new(0));
    let network = Network::new(&io);
    let cutting = network.clone();
    io.on("n", move |args: Args, ack: Ack| {
        // Every third event is lost with its connection.
        let lost = count.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        if lost {
            cutting.cut();
        } else {
            let _ = sender.send(args.decode::<u32>().unwrap());
            let _ = ack.send(&());
        }
        async {}
    });
    let socket = network.manager().socket_with("/", config());
    within(socket.connect()).await.unwrap();
    for n in 0..20 {
        socket.emit("n", &n).unwrap();
    }
    let seen = seen.take(20).await;
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn events_behind_the_first_wait_for_the_next_connection() {
    let (io, mut seen) = acknowledging();
    let socket = Network::new(&io).manager().socket_with("/", config());
    for close in [true, false] {
        within(socket.connect()).await.unwrap();
        for n in 0..3 {
            socket.emit("n", &n).unwrap();
        }
        if close {
            socket.manager().close()
        } else {
            socket.disconnect()
        }
        within(socket.manager().closed()).await;
        assert_eq!(seen.rest(), [0]);
        within(socket.connect()).await.unwrap();
        // The ack of the first event was lost with the connection.
        assert_eq!(seen.take(3).await, [0, 1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_ends_with_the_last_handle_but_for_its_first_event() {
    let (io, mut seen) = acknowledging();
    let socket = Network::new(&io).manager().socket_with("/", config());
    within(socket.connect()).await.unwrap();
    for n in 0..3 {
        socket.emit("n", &n).unwrap();
    }
    drop(socket);
    settle().await;
    assert_eq!(seen.rest(), [0]);
    assert_eq!(io.of("/").sockets_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_sent_loses_no_attempt() {
    let (io, mut seen) = acknowledging();
    for full in [true, false] {
        let network = Network::new(&io);
        let limits = Limits::default().max_pending_acks(if full { 10 } else { 1 });
        let config = network.config().limits(limits).engine(|it| it.max_queued_packets(4));
        let manager = Manager::with_config(URL, config).unwrap();
        let (socket, other) = (manager.socket_with("/", self::config()), manager.socket("/other"));
        io.of("/other");
        within(socket.connect()).await.unwrap();
        within(other.connect()).await.unwrap();
        let timeout = Duration::from_secs(5);
        let asking = other.clone();
        if full {
            // The session accepts no more frames, and then it is lost.
            network.freeze(true);
            (0..10).for_each(|_| other.emit("large", &"x".repeat(100_000)).unwrap());
        } else {
            tokio::spawn(async move { asking.timeout(timeout).emit_with_ack::<()>("", &()).await });
        }
        settle().await;
        for n in 0..3 {
            socket.emit("n", &n).unwrap();
        }
        tokio::time::sleep(timeout).await;
        if full {
            network.cut();
            network.freeze(false);
        }
        assert_eq!(seen.take(3).await, [0, 1, 2]);
        settle().await;
        assert!(seen.rest().is_empty(), "sent once");
    }
}
