//! A thousand clients that connect and disconnect leave nothing behind.

use std::{process::Command, time::Duration};

use crate::support::{
    case::{Via, client, info},
    peer::{Program, Setting},
    received, within,
};

/// Runs in its own process, because other tests open descriptors too.
#[test]
fn a_thousand_clients_leave_no_task_and_no_descriptor() {
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "leaks::alone", "--ignored", "--nocapture"]);
    let output = alone.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn alone() {
    // A polling session that is dropped without a close ends with the heartbeat.
    let node = Setting::new(Program::Node(4));
    let server = node.with("PING_INTERVAL", 2000).with("PING_TIMEOUT", 2000).start();
    // Creates everything that is created only once.
    round(&server.url(), 3).await;
    let before = descriptors_without_tasks().await;
    round(&server.url(), 250).await;
    assert_eq!(descriptors_without_tasks().await, before);
    let socket = client(&server.url(), "/", Via::WebSocket.config());
    within(socket.connect()).await.unwrap();
    let alone = async {
        while info(&socket).await.get("clients") != Some(&1.into()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(alone).await;
}

/// Four clients per round, which end in different ways.
async fn round(url: &str, times: usize) {
    for n in 0..times {
        let via = Via::ALL[n % 3];
        let make = || client(url, "/", via.config());
        let (at_once, dropped, left, sent_away) = (make(), make(), make(), make());
        at_once.open();
        if n % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(at_once);
        within(dropped.connect()).await.unwrap();
        drop(dropped);
        within(left.connect()).await.unwrap();
        left.disconnect();
        drop(left);
        within(sent_away.connect()).await.unwrap();
        let mut gone = received::disconnections(&sent_away);
        sent_away.emit("close", &()).unwrap();
        gone.next().await;
    }
}

/// Returns the number of open descriptors once no task is left.
async fn descriptors_without_tasks() -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    let none = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(none).await;
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
