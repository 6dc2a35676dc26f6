//! Events emitted right before the end of a client arrive, however the client ends.

use socketio_client::{Ack, Data, Manager, Socket};

use crate::support::{
    case::{Case, everywhere},
    received::{self, Received},
    within,
};

const COUNT: u32 = 30;

everywhere!(
    events_arrive_before_a_disconnect,
    events_arrive_before_a_close,
    events_arrive_before_the_last_handle_is_dropped,
    events_arrive_when_main_returns_after_closed,
    events_arrive_before_a_disconnect_during_the_upgrade,
    events_arrive_before_one_of_two_namespaces_is_left,
    events_arrive_that_a_handler_emits_before_the_last_handle_is_dropped,
    acks_of_handlers_arrive_before_a_disconnect,
);

/// Another client, which learns what the server received from the first one.
async fn observer(case: Case, room: &str) -> (Socket, Received<u32>) {
    let observer = case.connected().await;
    let cast = received::events::<u32>(&observer, "cast");
    within(observer.emit_with_ack::<()>("join", room)).await.unwrap();
    (observer, cast)
}

fn room(socket: &Socket) -> String {
    format!("observers of {:?}", socket.id())
}

fn emit_numbers(socket: &Socket, room: &str) {
    for n in 0..COUNT {
        socket.emit("cast", &(room, n)).unwrap();
    }
}

async fn expect_numbers(cast: &mut Received<u32>) {
    for n in 0..COUNT {
        assert_eq!(cast.next().await, n);
    }
}

async fn events_arrive_before_a_disconnect(case: Case) {
    let socket = case.connected().await;
    let room = room(&socket);
    let (_observer, mut cast) = observer(case, &room).await;
    emit_numbers(&socket, &room);
    socket.disconnect();
    within(socket.manager().closed()).await;
    expect_numbers(&mut cast).await;
}

async fn events_arrive_before_a_close(case: Case) {
    let socket = case.connected().await;
    let room = room(&socket);
    let (observer, mut cast) = observer(case, &room).await;
    emit_numbers(&socket, &room);
    socket.manager().close();
    within(socket.manager().closed()).await;
    expect_numbers(&mut cast).await;
    // No event is left for the next connection.
    case.connect(&socket).await;
    within(socket.emit_with_ack::<()>("ack", &())).await.unwrap();
    within(observer.emit_with_ack::<()>("ack", &())).await.unwrap();
    assert!(cast.take_received().is_empty());
}

async fn events_arrive_before_the_last_handle_is_dropped(case: Case) {
    let socket = case.connected().await;
    let room = room(&socket);
    let (_observer, mut cast) = observer(case, &room).await;
    emit_numbers(&socket, &room);
    drop(socket);
    expect_numbers(&mut cast).await;
}

async fn events_arrive_when_main_returns_after_closed(case: Case) {
    let room = format!("observers of main {case:?}");
    let (_observer, mut cast) = observer(case, &room).await;
    let main = async move {
        let socket = case.connected().await;
        emit_numbers(&socket, &room);
        socket.disconnect();
        socket.manager().closed().await;
    };
    let program = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(main);
    };
    within(tokio::task::spawn_blocking(|| std::thread::spawn(program).join().unwrap()))
        .await
        .unwrap();
    expect_numbers(&mut cast).await;
}

async fn events_arrive_before_a_disconnect_during_the_upgrade(case: Case) {
    // Each round, the client is at another point of its upgrade.
    for delay in 0..8 {
        let room = format!("observers of upgrade {delay} of {case:?}");
        let (_observer, mut cast) = observer(case, &room).await;
        let socket = case.client("/");
        within(socket.connect()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
        emit_numbers(&socket, &room);
        socket.disconnect();
        within(socket.manager().closed()).await;
        expect_numbers(&mut cast).await;
    }
}

async fn events_arrive_before_one_of_two_namespaces_is_left(case: Case) {
    let other = case.connected().await;
    let manager: &Manager = other.manager();
    let socket = manager.socket("/chat");
    within(socket.connect()).await.unwrap();
    let room = room(&socket);
    let observer = case.client("/chat");
    within(observer.connect()).await.unwrap();
    let mut cast = received::events::<u32>(&observer, "cast");
    within(observer.emit_with_ack::<()>("join", &room)).await.unwrap();
    for round in 0..2 {
        emit_numbers(&socket, &room);
        socket.disconnect();
        let after = other.emit_with_ack::<u32>("ack", &round);
        expect_numbers(&mut cast).await;
        assert_eq!(within(after).await.unwrap(), round);
        within(socket.connect()).await.unwrap();
    }
}

async fn events_arrive_that_a_handler_emits_before_the_last_handle_is_dropped(case: Case) {
    let room = format!("observers of a handler {case:?}");
    let (_observer, mut cast) = observer(case, &room).await;
    let socket = case.connected().await;
    let (given, taken) = std::sync::mpsc::channel::<Socket>();
    let taken = std::sync::Mutex::new(taken);
    let here = room.clone();
    socket.on("echo", move |socket: Socket| {
        let last = taken.lock().unwrap().recv().unwrap();
        emit_numbers(&last, &here);
        drop((socket, last));
        async {}
    });
    socket.emit("echo", &()).unwrap();
    given.send(socket).unwrap();
    expect_numbers(&mut cast).await;
}

async fn acks_of_handlers_arrive_before_a_disconnect(case: Case) {
    let socket = case.client("/");
    socket.on("question", move |socket: Socket, Data(n): Data<u32>, ack: Ack| async move {
        ack.send(&n)?;
        if n + 1 == COUNT {
            socket.disconnect();
        }
        Ok(())
    });
    case.connect(&socket).await;
    let room = room(&socket);
    let (_observer, mut cast) = observer(case, &room).await;
    socket.emit("survey", &(&room, COUNT)).unwrap();
    expect_numbers(&mut cast).await;
}
