//! JetStream on a cluster of NATS servers that are killed one after another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engines::{Nats, NatsCluster};
use socketio_adapter::{ClusterAdapter, conformance};
use socketio_adapter_nats::{
    JetStream, NatsAdapter,
    async_nats::{self, jetstream},
    connect_options,
};

use crate::{
    Node,
    log::missed,
    sessions::session,
    suite::{until, within},
    with,
};

/// Connects each adapter to another server.
struct Log(NatsCluster, AtomicUsize);

impl Log {
    async fn adapter(&self) -> Arc<NatsAdapter> {
        let servers = self.0.servers();
        let server = &servers[self.1.fetch_add(1, Ordering::Relaxed) % servers.len()];
        let options = connect_options().ping_interval(Duration::from_millis(500));
        let config = with(server, options).await.timeout(Duration::from_secs(10));
        let config = config.connection_state_recovery(JetStream::default().replicas(3));
        let adapter = NatsAdapter::new(config).unwrap();
        until(|| async { within(adapter.prepare()).await.is_ok() }).await;
        adapter
    }
}

impl conformance::LogHarness for Log {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        self.adapter().await
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns whether each stream has a leader and its other two replicas are up to date.
async fn is_replicated(server: &Nats) -> Result<bool, async_nats::Error> {
    let context = jetstream::new(async_nats::connect(server.url()).await?);
    for name in ["socketio-log", "socketio-sessions"] {
        let stream = context.get_stream(name).await?;
        let Some(cluster) = &stream.cached_info().cluster else { return Ok(false) };
        let current = cluster.replicas.iter().filter(|it| it.current && !it.offline).count();
        if cluster.leader.is_none() || current != 2 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[tokio::test]
async fn a_cluster_of_nats_servers_passes_the_conformance_suite_of_logs() {
    let log = Log(NatsCluster::start().unwrap(), AtomicUsize::default());
    within(conformance::all_nodes_see_one_order(&log)).await;
    within(conformance::sessions_are_taken_once(&log)).await;
    within(conformance::missed_events_are_found(&log)).await;
}

#[tokio::test]
async fn events_survive_the_death_of_each_server() {
    let log = Log(NatsCluster::start().unwrap(), AtomicUsize::default());
    let one = Node::join(log.adapter().await, "/", "one").await;
    let two = Node::join(log.adapter().await, "/", "two").await;
    let from = one.publish("before").await;
    one.store().persist(session("P", "/"), Duration::from_secs(600)).await.unwrap();
    let over = AtomicBool::new(false);
    let publish_all = async {
        let mut accepted = Vec::new();
        for n in 0.. {
            let event = format!("n{n}");
            // A publish that failed may or may not have been stored.
            if within(one.link.publish(one.message(&[], &event, &1))).await.is_ok() {
                accepted.push(event);
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        accepted
    };
    let kill = async {
        for server in log.0.servers() {
            server.kill().unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.restart().unwrap();
            // The next server must not die before this one has caught up.
            until(|| async { is_replicated(server).await.unwrap_or(false) }).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (accepted, ()) = tokio::join!(publish_all, kill);
    let last = accepted.last().unwrap();
    let of = |events: Vec<String>| -> Vec<String> {
        events.into_iter().filter(|event| accepted.contains(event)).collect()
    };
    for node in [&one, &two] {
        assert_eq!(of(node.wait_for(last).await), accepted);
    }
    // The servers need some time to agree again after the last restart.
    let store = two.store();
    let another = || store.persist(session("another", "/"), Duration::from_secs(600));
    until(|| async { within(another()).await.is_ok() && missed(&two, &from).await.is_ok() }).await;
    assert_eq!(of(missed(&two, &from).await.unwrap()), accepted);
    assert_eq!(
        two.store().take("P", &from, None).await.unwrap().session(),
        Some(session("P", "/"))
    );
}
