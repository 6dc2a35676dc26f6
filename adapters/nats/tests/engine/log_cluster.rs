//! JetStream on a cluster of NATS servers, which die one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engines::NatsCluster;
use socketio_adapter::{ClusterAdapter, conformance};
use socketio_adapter_nats::{JetStream, NatsAdapter, connect_options};

use crate::{
    Node,
    log::{missed, session},
    suite::{until, within},
    with,
};

/// Each adapter at another server.
struct Log(NatsCluster, AtomicUsize);

impl Log {
    async fn adapter(&self) -> Arc<NatsAdapter> {
        let servers = self.0.servers();
        let server = &servers[self.1.fetch_add(1, Ordering::Relaxed) % servers.len()];
        let options = connect_options().ping_interval(Duration::from_millis(500));
        let config = with(server, options).await.timeout(Duration::from_secs(5));
        let config = config.connection_state_recovery(JetStream::default().replicas(3));
        let adapter = NatsAdapter::new(config).unwrap();
        until(|| async { within(adapter.prepare()).await.is_ok() }).await;
        adapter
    }
}

impl conformance::Logging for Log {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        self.adapter().await
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_suite_of_logs_is_passed_in_a_cluster() {
    let log = Log(NatsCluster::start().unwrap(), AtomicUsize::default());
    within(conformance::a_log_is_one_order(&log)).await;
    within(conformance::sessions_are_taken_once(&log)).await;
    within(conformance::what_was_missed_is_found(&log)).await;
}

#[tokio::test]
async fn nothing_is_lost_while_servers_die() {
    let log = Log(NatsCluster::start().unwrap(), AtomicUsize::default());
    let one = Node::join(log.adapter().await, "/", "one").await;
    let two = Node::join(log.adapter().await, "/", "two").await;
    let from = one.tells("before").await;
    one.store().persist(session("P", "/"), Duration::from_secs(600)).await.unwrap();
    let over = AtomicBool::new(false);
    let speak = async {
        let mut taken = Vec::new();
        for n in 0.. {
            let event = format!("n{n}");
            // What is not said to be published may be, and may not.
            if within(one.link.publish(one.message(&[], &event, &1))).await.is_ok() {
                taken.push(event);
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        taken
    };
    let kill = async {
        for server in log.0.servers() {
            server.kill().unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.restart().unwrap();
            // The others wait for it to have caught up.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (taken, ()) = tokio::join!(speak, kill);
    let last = taken.last().unwrap();
    let of = |events: Vec<String>| -> Vec<String> {
        events.into_iter().filter(|event| taken.contains(event)).collect()
    };
    for node in [&one, &two] {
        assert_eq!(of(node.hears(last).await), taken);
    }
    // The servers agree again some time after the last one came back.
    let store = two.store();
    let another = || store.persist(session("another", "/"), Duration::from_secs(600));
    until(|| async { within(another()).await.is_ok() && missed(&two, &from).await.is_ok() }).await;
    assert_eq!(of(missed(&two, &from).await.unwrap()), taken);
    assert_eq!(two.store().take("P", &from).await.unwrap(), Some(session("P", "/")));
}
