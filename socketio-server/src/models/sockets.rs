//! Threads of the application that use a socket beside the turn of its driver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc::TryRecvError,
    },
    time::Duration,
};

use shuttle::future::{block_on, spawn};
use socketio_parser::Limits;

use super::{World, model, thread};
use crate::{Ack, Recovery, ServerConfig, client::CLOSE, error::AckError, socket::Socket};

/// The id of the ack that an event asks for, for example 3 in `23["name"]`.
fn ack_id(packet: &str) -> String {
    packet[1..].chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn a_disconnect_by_another_thread_ends_the_socket_once() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let ended = Arc::new(AtomicU32::new(0));
        let count = ended.clone();
        world.main.on_disconnect(move |_: Socket| {
            count.fetch_add(1, SeqCst);
            async {}
        });
        let (mut client, socket) = world.connect();
        let disconnectors = [socket.clone(), socket].map(|it| thread(move || it.disconnect()));
        let waiter = world.main.clone();
        let waiter = spawn(async move { waiter.0.all_sockets_dropped().await });
        assert_eq!(client.receive_until("1"), ["1"]);
        for disconnector in disconnectors {
            disconnector.join().unwrap();
        }
        block_on(waiter).unwrap();
        assert_eq!(ended.load(SeqCst), 1);
        client.lose();
        world.assert_empty();
    });
}

#[test]
fn a_disconnect_beside_the_close_of_the_connection_ends_both() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let (mut client, socket) = world.connect();
        let closing = socket.clone();
        let closer = thread(move || closing.close_connection());
        socket.disconnect();
        drop(socket);
        assert_eq!(client.receive_until("1"), ["1"]);
        while client.receive().is_some() {}
        block_on(client.driver).unwrap();
        closer.join().unwrap();
        world.assert_empty();
    });
}

#[test]
fn events_of_a_thread_arrive_in_order_until_the_socket_is_disconnected() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let (mut client, socket) = world.connect();
        let emitter = socket.clone();
        let emitter = thread(move || (0..4).take_while(|n| emitter.emit("n", n).is_ok()).count());
        client.send(r#"42["one"]"#);
        socket.disconnect();
        drop(socket);
        let mut packets = client.receive_until("1");
        packets.pop();
        let emitted = client.assert_nothing_more(emitter);
        let expected: Vec<_> = (0..emitted).map(|n| format!(r#"2["n",{n}]"#)).collect();
        assert!(expected.starts_with(&packets), "{packets:?} of {expected:?}");
        world.assert_empty();
    });
}

/// Also if a log keeps events for clients that return.
#[test]
fn an_event_that_is_emitted_beside_a_disconnect_is_sent_or_refused() {
    let recovery = || ServerConfig::default().connection_state_recovery(Recovery::default());
    let configs: [fn() -> ServerConfig; 2] = [ServerConfig::default, recovery];
    for config in configs {
        model(move || {
            let world = World::new(config());
            let (mut client, socket) = world.connect();
            let emitter = socket.clone();
            let emitter = thread(move || (0..2).filter(|n| emitter.emit("n", n).is_ok()).count());
            socket.disconnect();
            drop(socket);
            let sent = client.receive_until("1").len() - 1;
            assert_eq!(client.assert_nothing_more(emitter), sent);
            world.assert_empty();
        });
    }
}

/// Runs `emit` in another thread while the server disconnects a socket. Fails if a packet of the
/// socket follows its DISCONNECT.
fn assert_disconnect_is_last(
    config: impl Fn() -> ServerConfig + Send + Sync + 'static,
    emit: impl Fn(&Socket) + Copy + Send + Sync + 'static,
    disconnect: impl Fn(&Socket) + Send + Sync + 'static,
) {
    model(move || {
        let world = World::new(config());
        let (mut client, socket) = world.connect();
        let emitter = socket.clone();
        let emitter = thread(move || emit(&emitter));
        disconnect(&socket);
        drop(socket);
        client.receive_until("1");
        client.assert_nothing_more(emitter);
        world.assert_empty();
    });
}

#[test]
fn a_volatile_event_never_follows_the_disconnect() {
    let emit = |socket: &Socket| drop(socket.volatile().emit("n", &1));
    assert_disconnect_is_last(ServerConfig::default, emit, Socket::disconnect);
}

#[test]
fn an_event_in_the_log_never_follows_the_disconnect() {
    let config = || ServerConfig::default().connection_state_recovery(Recovery::default());
    let emit = |socket: &Socket| socket.namespace().emit("n", &1).unwrap();
    assert_disconnect_is_last(config, emit, Socket::disconnect);
}

#[test]
fn an_event_never_follows_the_disconnect_of_a_connection_that_the_server_closes() {
    let emit = |socket: &Socket| drop(socket.emit("n", &1));
    let close = |socket: &Socket| socket.0.client.request(CLOSE);
    assert_disconnect_is_last(ServerConfig::default, emit, close);
}

#[test]
fn an_ack_never_follows_the_disconnect() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let (asked, acks) = std::sync::mpsc::channel();
        world.main.on("ask", move |ack: Ack| {
            asked.send(ack).unwrap();
            async {}
        });
        let (mut client, socket) = world.connect();
        client.send(r#"427["ask"]"#);
        let responder = thread(move || {
            loop {
                match acks.try_recv() {
                    Ok(ack) => return drop(ack.send(&1)),
                    Err(TryRecvError::Empty) => shuttle::thread::yield_now(),
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
        socket.disconnect();
        drop(socket);
        client.receive_until("1");
        world.main.off("ask");
        client.assert_nothing_more(responder);
        world.assert_empty();
    });
}

#[test]
fn a_client_with_its_response_to_connect_misses_no_event() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let mut client = world.open();
        client.send("40");
        assert!(client.receive().unwrap().starts_with("0{"));
        world.main.emit("n", &1).unwrap();
        assert_eq!(client.receive().unwrap(), r#"2["n",1]"#);
        drop(world.next_socket());
        client.lose();
        world.assert_empty();
    });
}

#[test]
fn an_ack_ends_once_beside_a_disconnect() {
    assert_ack_ends(true);
}

#[test]
fn an_ack_that_never_comes_ends_with_the_disconnect() {
    assert_ack_ends(false);
}

/// Disconnects a socket whose client acks an event, or does not.
fn assert_ack_ends(acks: bool) {
    model(move || {
        let world = World::new(ServerConfig::default());
        let (mut client, socket) = world.connect();
        let asking = socket.clone();
        let ended = spawn(async move {
            let second = Duration::from_secs(1);
            asking.timeout(second).emit_with_ack::<u32>("ask", &()).await
        });
        let disconnector = thread(move || socket.disconnect());
        let mut asked = false;
        while let Some(packet) = client.receive().filter(|packet| packet != "1") {
            asked = true;
            if acks {
                client.send(&format!("43{}[7]", ack_id(&packet)));
            }
        }
        disconnector.join().unwrap();
        match block_on(ended).unwrap() {
            Ok(value) => assert!(acks && asked && value == 7),
            Err(AckError::Disconnected | AckError::Emit(_)) => {}
            Err(other) => panic!("{other}"),
        }
        client.lose();
        world.assert_empty();
    });
}

#[test]
fn an_ack_that_arrives_at_once_finds_its_event() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let (mut client, socket) = world.connect();
        let asking = spawn(async move {
            let second = Duration::from_secs(1);
            socket.timeout(second).emit_with_ack::<u32>("ask", &()).await
        });
        let packet = client.receive().unwrap();
        client.send(&format!("43{}[7]", ack_id(&packet)));
        assert_eq!(block_on(asking).unwrap().unwrap(), 7);
        client.lose();
        world.assert_empty();
    });
}

#[test]
fn events_that_wait_for_room_in_the_table_of_acks_are_woken() {
    model(|| {
        let limits = Limits::default().max_pending_acks(1);
        let world = World::new(ServerConfig::default().limits(limits));
        let (mut client, socket) = world.connect();
        let asking = [0, 1, 2].map(|n| {
            let socket = socket.clone();
            spawn(async move {
                let second = Duration::from_secs(1);
                socket.timeout(second).emit_with_ack::<u32>("ask", &n).await
            })
        });
        drop(socket);
        // One event more gets no ack, but the end of the connection.
        for _ in 0..2 {
            let packet = client.receive().unwrap();
            client.send(&format!("43{}[7]", ack_id(&packet)));
        }
        client.receive().unwrap();
        client.lose();
        let mut answered = 0;
        for asking in asking {
            answered += u32::from(block_on(asking).unwrap().is_ok());
        }
        assert_eq!(answered, 2);
        world.assert_empty();
    });
}
