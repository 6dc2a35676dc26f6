//! A client that connects and leaves repeatedly cannot accumulate handlers. At `max_handlers` the
//! server stops reading from it until some have ended.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use socketio_server::{ServerConfig, Socket};
use support::{server_with, until};
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
