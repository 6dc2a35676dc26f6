//! Clients lose their connections and return to nodes that lag behind each other, while all nodes
//! emit. Each client gets the events that a small model predicts, once, and all clients in one
//! order.

use crate::support;

use std::collections::HashMap;

use proptest::prelude::*;
use socketio_server::{ClusterLimits, Recovery, Socket};
use support::{
    Client,
    nodes::{Held, Node, Troubled, cluster},
    until, within,
};

const NODES: usize = 3;
const CLIENTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A node emits to a selection.
    Emit(usize, To),
    /// The first node of the client emits through its handle.
    Own(usize),
    Lose(usize),
    /// The client returns to a node.
    Return(usize, usize),
    Hold(usize),
    Release(usize),
}

#[derive(Clone, Copy, Debug)]
enum To {
    All,
    Room(usize),
    Except(usize),
    Volatile,
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![
        2 => Just(To::All),
        4 => (0..CLIENTS).prop_map(To::Room),
        1 => (0..CLIENTS).prop_map(To::Except),
        1 => Just(To::Volatile),
    ];
    prop_oneof![
        8 => (0..NODES, to).prop_map(|(node, to)| Step::Emit(node, to)),
        2 => (0..CLIENTS).prop_map(Step::Own),
        2 => (0..CLIENTS).prop_map(Step::Lose),
        3 => (0..CLIENTS, 0..NODES).prop_map(|(client, node)| Step::Return(client, node)),
        1 => (0..NODES).prop_map(Step::Hold),
        1 => (0..NODES).prop_map(Step::Release),
    ]
}

struct Wanderer {
    /// The node of the client, while it is connected.
    at: Option<(usize, Client)>,
    first: Socket,
    pid: String,
    offset: String,
    /// The expected events, and the received events.
    due: Vec<u32>,
    got: Vec<u32>,
}

impl Wanderer {
    /// Reads up to the CONNECT response, with or without the events before it.
    async fn read_until(&mut self, end: &str) {
        loop {
            let Some((_, client)) = &mut self.at else { return };
            let text = client.text().await;
            if text.starts_with(end) {
                return;
            }
            self.take(&text);
        }
    }

    fn take(&mut self, text: &str) {
        let event: Vec<serde_json::Value> = serde_json::from_str(&text[2..]).unwrap();
        if event[0] == "v" {
            assert_eq!(event.len(), 2, "what cannot be recovered has no offset");
            return;
        }
        self.got.push(event[1].as_u64().unwrap() as u32);
        self.offset = event[2].as_str().unwrap().to_owned();
    }

    /// Takes the events that have arrived so far.
    async fn fence(&mut self) {
        if let Some((_, client)) = &mut self.at {
            client.send(r#"42999["fence"]"#).await;
            self.read_until("43999").await;
        }
    }
}

async fn agrees(steps: Vec<Step>) {
    let cluster = cluster();
    let held: [Held; NODES] = Held::of(&cluster);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let (recovery, limits) = (Recovery::default(), ClusterLimits::default());
        nodes.push(Node::with(Troubled::new(&cluster), recovery, limits).await);
    }
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let (client, first, pid, offset) = nodes[n % NODES].client_with_offset().await;
        first.join([format!("r{n}"), format!("r{}", (n + 1) % CLIENTS)]).unwrap();
        let (due, got) = (Vec::new(), Vec::new());
        clients.push(Wanderer { at: Some((n % NODES, client)), first, pid, offset, due, got });
    }
    let mut sent = 0;
    for step in steps {
        match step {
            Step::Emit(node, to) => {
                sent += 1;
                let io = &nodes[node].server.io;
                let before = io.stats().cluster.sent;
                match to {
                    To::All => io.emit("n", &sent),
                    To::Room(room) => io.to(format!("r{room}")).emit("n", &sent),
                    To::Except(room) => io.except(format!("r{room}")).emit("n", &sent),
                    To::Volatile => io.volatile().emit("v", &sent),
                }
                .unwrap();
                // Settles the order for the model.
                until(|| io.stats().cluster.sent > before).await;
                for (n, client) in clients.iter_mut().enumerate() {
                    let is_in = |room: usize| room == n || room == (n + 1) % CLIENTS;
                    match to {
                        To::All => client.due.push(sent),
                        To::Room(room) if is_in(room) => client.due.push(sent),
                        To::Except(room) if !is_in(room) => client.due.push(sent),
                        _ => {}
                    }
                }
            }
            Step::Own(n) => {
                sent += 1;
                let io = &nodes[n % NODES].server.io;
                let before = io.stats().cluster.sent;
                clients[n].first.emit("n", &sent).unwrap();
                until(|| io.stats().cluster.sent > before).await;
                clients[n].due.push(sent);
            }
            Step::Lose(n) => {
                // The client may have read the pending events or not. While events are held, acks
                // wait behind them.
                if sent % 2 == 0
                    && let Some((node, _)) = clients[n].at
                    && !held[node].is_on()
                {
                    clients[n].fence().await;
                }
                let (kept, client) = (cluster.sessions(), &mut clients[n]);
                if let Some((_, lost)) = client.at.take() {
                    lost.reset();
                    until(|| cluster.sessions() > kept).await;
                }
            }
            Step::Return(n, node) if clients[n].at.is_none() => {
                let client = &mut clients[n];
                client.at = Some((node, nodes[node].claims(&client.pid, &client.offset).await));
                let answer = format!(r#"40{{"sid":"{}","pid":"{}""#, client.first.id(), client.pid);
                within(client.read_until(&answer)).await;
            }
            Step::Return(..) => {}
            Step::Hold(node) => held[node].hold(),
            Step::Release(node) => held[node].release(),
        }
    }
    held.iter().for_each(Held::release);
    for (n, client) in clients.iter_mut().enumerate() {
        if client.at.is_none() {
            client.at = Some((n, nodes[n].claims(&client.pid, &client.offset).await));
            within(client.read_until("40")).await;
        }
        client.fence().await;
        assert_eq!(client.got, client.due, "client {n}");
    }
    let counts: HashMap<_, _> = clients.iter().map(|it| (it.pid.clone(), it.got.len())).collect();
    assert_eq!(counts.len(), CLIENTS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sessions_that_change_nodes_match_a_model(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees(steps));
    }
}
