//! Handles on several threads emit, wait for acks, connect and disconnect while the connection's
//! task works, over TCP and with the real clock. No call hangs, every ack is correct, and no task
//! is left.

use std::time::Duration;

use socketio_client::{AckError, ClientConfig, Manager, Reconnection, Socket};
use socketio_server::{Args, Server};
use tokio::{task::JoinSet, time::timeout};

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

/// Only a hang takes this long.
const LONG: Duration = Duration::from_secs(60);

/// Emits with acks, and sometimes disconnects or closes the connection. Returns the number of acks.
async fn wander(socket: Socket, lane: u32) -> u32 {
    let mut answers = 0;
    for n in 0..60 {
        let asked = n * 10 + lane;
        match timeout(LONG, socket.emit_with_ack::<u32>("echo", &asked)).await.expect("hangs") {
            Ok(answer) => {
                assert_eq!(answer, asked);
                answers += 1;
            }
            Err(AckError::Disconnected) => {}
            Err(error) => panic!("{error}"),
        }
        if lane == 0 && n % 20 == 19 {
            socket.disconnect();
            let _ = timeout(LONG, socket.connect()).await.expect("hangs");
        }
        if lane == 1 && n % 30 == 29 {
            socket.manager().close();
            socket.manager().open();
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_hangs_and_nothing_is_left() {
    let io = Server::new();
    for nsp in NAMESPACES {
        io.of(nsp).on("echo", |args: Args| async move { args });
    }
    let url = format!("http://{}", io.bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let soon = Duration::from_millis(20);
    let reconnection = Reconnection::default().delay(soon).delay_max(soon);
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let config = ClientConfig::default().reconnection(reconnection.clone());
        let manager = Manager::with_config(&url, config).unwrap();
        for nsp in NAMESPACES {
            (0..3).for_each(|lane| drop(tasks.spawn(wander(manager.socket(nsp), lane))));
        }
    }
    let answers: u32 = tasks.join_all().await.into_iter().sum();
    assert!(answers > 2500, "{answers} of 3240");
    let gone = async {
        while NAMESPACES.iter().any(|nsp| io.of(nsp).sockets_count() > 0) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, gone).await.expect("sockets are left");
}
