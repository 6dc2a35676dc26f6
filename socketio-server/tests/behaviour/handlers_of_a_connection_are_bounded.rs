//! A client that connects and leaves repeatedly cannot accumulate handlers. At `max_handlers` the
//! server stops reading from it until some have ended.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use socketio_server::{ServerConfig, Socket};
use support::{log, server_with, sockets, until, within};
use tokio::sync::Semaphore;

const ROUNDS: usize = 50;

#[tokio::test]
async fn connection_and_disconnection_handlers_count_too() {
    let server = server_with(ServerConfig::default().max_handlers(8)).await;
    let (started, permits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, wait) = (started.clone(), permits.clone());
    server.io.on_connection(move |_: Socket| {
        count.fetch_add(1, Ordering::Relaxed);
        let wait = wait.clone();
        async move { wait.acquire_owned().await.unwrap().forget() }
    });
    let mut greedy = server.open().await;
    for _ in 0..ROUNDS {
        greedy.burst(&["40", "41"]).await;
    }
    until(|| started.load(Ordering::Relaxed) == 8).await;
    // The packet of the second client is handled after all readable packets of the first.
    let mut other = server.client().await;
    other.fence().await;
    assert_eq!(started.load(Ordering::Relaxed), 9);

    permits.add_permits(Semaphore::MAX_PERMITS / 2);
    until(|| started.load(Ordering::Relaxed) == ROUNDS + 1).await;
}

#[tokio::test]
async fn a_waiting_event_starts_in_the_place_of_a_middleware_that_ended_with_its_socket() {
    let config = ServerConfig::default().max_handlers(2).max_in_flight(1);
    let server = server_with(config).await;
    let (sender, mut log) = log();
    let [works, guarded, leaves] = ["/works", "/guarded", "/leaves"].map(|it| server.io.of(it));
    let permits = Arc::new(Semaphore::new(0));
    let (tell, wait) = (sender.clone(), permits.clone());
    works.on("work", move || {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            let _ = tell.send("starts");
            wait.acquire_owned().await.unwrap().forget();
            let _ = tell.send("ends");
        }
    });
    let tell = sender.clone();
    guarded.on_connection(move |socket: Socket| {
        let tell = tell.clone();
        socket.use_(move || {
            let _ = tell.send("middleware");
            std::future::pending::<()>()
        });
        async {}
    });
    leaves.on_disconnect(move || {
        let _ = sender.send("leaves");
        std::future::pending::<()>()
    });
    let (mut guarded, mut leaves) = (sockets(&guarded), sockets(&leaves));
    let mut client = server.open().await;
    for nsp in ["/works", "/guarded", "/leaves"] {
        client.connect(nsp).await;
    }
    let guarded = within(guarded.recv()).await.unwrap();
    let leaves = within(leaves.recv()).await.unwrap();
    let work = r#"42/works,["work"]"#;
    client.burst(&[work, work, r#"42/guarded,["any"]"#]).await;
    assert_eq!([log.next().await, log.next().await], ["starts", "middleware"]);
    leaves.disconnect();
    assert_eq!(log.next().await, "leaves");
    permits.add_permits(2);
    assert_eq!(log.next().await, "ends");
    tokio::task::yield_now().await;
    assert_eq!(log.rest(), [""; 0], "the handler of the disconnection takes the place");
    guarded.disconnect();
    assert_eq!([log.next().await, log.next().await], ["starts", "ends"]);
}
