//! Several tasks broadcast while clients lose their connections and return, to the same node or
//! another. No event is lost, repeated or reordered.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use socketio_server::{ClusterLimits, MemoryCluster, MemoryLog, Recovery, Server, ServerConfig};
use support::{Running, server_with, sockets, until, within};

const SENDERS: usize = 3;
const CLIENTS: usize = 4;
const DROPS: usize = 10;

async fn sender(
    io: Server,
    number: usize,
    sockets: Vec<socketio_server::Socket>,
    stop: Arc<AtomicBool>,
) -> u32 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        io.to("everybody").emit("n", &(number, count)).unwrap();
        for socket in &sockets {
            socket.emit("n", &(number + SENDERS, count)).unwrap();
        }
        count += 1;
        // Sends at a pace that the clients can follow.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    count
}

/// The events that a client has received, by sender.
#[derive(Default)]
struct Seen {
    next: [u32; 2 * SENDERS],
    offset: String,
}

impl Seen {
    fn take(&mut self, text: &str) {
        let event: (String, (usize, u32), String) = {
            let (name, sender, n, offset): (String, usize, u32, String) =
                serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
            (name, (sender, n), offset)
        };
        let (sender, n) = event.1;
        assert_eq!(n, self.next[sender], "of sender {sender}");
        self.next[sender] += 1;
        self.offset = event.2;
    }
}

async fn client(
    servers: Arc<Vec<Running>>,
    pid: String,
    mut client: support::Client,
    stop: Arc<AtomicBool>,
    sent: tokio::sync::watch::Receiver<Option<Vec<u32>>>,
) {
    let mut seen = Seen::default();
    for round in 0..DROPS {
        for _ in 0..20 + 7 * round {
            seen.take(&client.text().await);
        }
        client.reset();
        let mut attempts = round;
        client = loop {
            let mut again = servers[attempts % servers.len()].open().await;
            attempts += 1;
            again.claim(&pid, &seen.offset).await;
            let mut text = again.text().await;
            while !text.starts_with("40") {
                seen.take(&text);
                text = again.text().await;
            }
            if text.contains(&pid) {
                break again;
            }
            // The server has not yet detected the loss, so this is another session.
            again.reset();
            tokio::task::yield_now().await;
        };
    }
    let mut sent = sent;
    stop.store(true, Ordering::Relaxed);
    let total = within(sent.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    while seen.next[..] != total[..] {
        seen.take(&client.text().await);
    }
}

fn config() -> ServerConfig {
    // Even a slow client misses fewer events than the log holds.
    let recovery = Recovery::default().max_packets(1_000_000).max_bytes(1 << 30);
    ServerConfig::default()
        .connection_state_recovery(recovery)
        .engine(|engine| engine.max_queued_packets(1_000_000).max_queued_bytes(1 << 30))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recovery_loses_no_event_with_several_senders() {
    under_load(vec![server_with(config()).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recovery_loses_no_event_on_any_node() {
    let log = MemoryLog { max_entries: 1_000_000, ..MemoryLog::default() };
    let cluster = MemoryCluster::with_log(log, std::time::Instant::now);
    let mut servers = Vec::new();
    for _ in 0..3 {
        let limits = ClusterLimits::default().max_queued_messages(1_000_000);
        let config = config().adapter(cluster.adapter()).cluster_limits(limits);
        let server = server_with(config).await;
        within(server.io.joined()).await;
        servers.push(server);
    }
    under_load(servers).await;
}

async fn under_load(servers: Vec<Running>) {
    let servers = Arc::new(servers);
    let server = &servers[0];
    let mut connected = sockets(&server.io.of("/"));
    let (mut clients, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let mut client = server.open().await;
        client.send("40").await;
        let (_, pid) = client.recoverable().await;
        let socket = within(connected.recv()).await.unwrap();
        socket.join("everybody").unwrap();
        handles.push(socket);
        clients.push((pid, client));
    }
    let stops: Vec<_> = (0..CLIENTS).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (total, sent) = tokio::sync::watch::channel(None);
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| {
            tokio::spawn(sender(
                servers[n % servers.len()].io.clone(),
                n,
                handles.clone(),
                stop.clone(),
            ))
        })
        .collect();
    let clients: Vec<_> = clients
        .into_iter()
        .zip(&stops)
        .map(|((pid, it), done)| {
            tokio::spawn(client(servers.clone(), pid, it, done.clone(), sent.clone()))
        })
        .collect();
    until(|| {
        stops.iter().all(|done| done.load(Ordering::Relaxed))
            || clients.iter().any(|it| it.is_finished())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut counts = Vec::new();
    for sender in senders {
        counts.push(within(sender).await.unwrap());
    }
    let all = [counts.clone(), counts].concat();
    total.send_replace(Some(all));
    for client in clients {
        within(client).await.unwrap();
    }
}
