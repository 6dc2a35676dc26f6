//! Handlers of server-side events start in the order of the events, even on several threads. A
//! handler that waits or panics delays no other.

use crate::support;

use socketio_server::{Data, EventName, MemoryCluster, ServerConfig, ServerEvent};
use support::{log, server_with, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_side_events_start_in_order() {
    const COUNT: u32 = 200;
    let cluster = MemoryCluster::new();
    let node = || server_with(ServerConfig::default().adapter(cluster.adapter()));
    let (one, two) = (node().await, node().await);
    let (sender, mut begun) = log();
    two.io.on_server_side("n", move |event: ServerEvent| {
        let n: Result<u32, _> = event.data();
        let sender = sender.clone();
        async move {
            let n = n?;
            sender.send(n).unwrap();
            match n % 50 {
                7 => panic!("one of those"),
                8 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    });
    within(one.io.joined()).await;
    within(two.io.joined()).await;
    for n in 0..COUNT {
        one.io.server_side_emit("n", &n).unwrap();
    }
    for n in 0..COUNT {
        assert_eq!(begun.next().await, n);
    }
}

#[tokio::test]
async fn handlers_of_server_side_events_take_extractors_and_reply_with_their_value() {
    let cluster = MemoryCluster::new();
    let node = || server_with(ServerConfig::default().adapter(cluster.adapter()));
    let (one, two) = (node().await, node().await);
    two.io.on_server_side("add", |Data((a, b)): Data<(u32, u32)>| a + b);
    two.io.on_server_side("name", |EventName(event): EventName| async move { Ok(event) });
    within(one.io.joined()).await;
    within(two.io.joined()).await;
    let sums: Vec<u32> = one.io.server_side_emit_with_ack("add", &(1, 2)).await.unwrap();
    let names: Vec<String> = one.io.server_side_emit_with_ack("name", &()).await.unwrap();
    assert_eq!((sums, names), (vec![3], vec!["name".to_owned()]));
}
