//! Whatever users, servers and the network do in whatever order: no `connect` follows another one, events arrive in order and
//! once, none is lost but by the network, and in the end the sockets are connected. What is sent until it is acknowledged is never
//! lost, but may come more than once.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use socketio_client::{Manager, Reconnection};
use socketio_server::{Ack, Data, Server, Socket as Peer};

use crate::support::{Log, Network, URL, life, log, settle, within};

const NAMESPACES: [&str; 2] = ["/", "/other"];

#[derive(Clone, Debug)]
enum Op {
    Emit(usize),
    Disconnect(usize),
    Open(usize),
    Close,
    ServerDisconnects(usize),
    Cut,
    Down,
    Up,
    /// Milliseconds pass.
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0..NAMESPACES.len();
    prop_oneof![
        6 => which.clone().prop_map(Op::Emit),
        3 => which.clone().prop_map(Op::Disconnect),
        4 => which.clone().prop_map(Op::Open),
        1 => Just(Op::Close),
        1 => which.prop_map(Op::ServerDisconnects),
        1 => Just(Op::Cut),
        1 => Just(Op::Down),
        2 => Just(Op::Up),
        4 => prop_oneof![Just(0_u64), 1..50_u64, 100..3000_u64].prop_map(Op::Pass),
    ]
}

/// Numbers that the server gets in a namespace. Some namespaces take their time to decide.
fn received(io: &Server, nsp: &str) -> Log<u32> {
    let (sender, log) = log();
    let slow = nsp == NAMESPACES[1];
    io.of(nsp).use_(move |_: Peer| async move {
        if slow {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    io.of(nsp).on("n", move |Data(n): Data<u32>, ack: Ack| {
        let _ = sender.send(n);
        async move { Ok(ack.send(&())?) }
    });
    log
}

async fn live(ops: Vec<Op>, polling: bool, retried: bool) {
    let io = Server::new();
    let network = Network::new(&io);
    let config = if polling { network.polling() } else { network.config() };
    let soon = Duration::from_millis(200);
    let config = config.reconnection(Reconnection::default().delay(soon).delay_max(soon));
    let config = if retried {
        config.socket(|socket| socket.retries(1000).ack_timeout(Duration::from_secs(1)))
    } else {
        config
    };
    let manager = Manager::with_config(URL, config).unwrap();
    let sockets = NAMESPACES.map(|nsp| manager.socket(nsp));
    let mut received = NAMESPACES.map(|nsp| received(&io, nsp));
    let mut lives = [life(&sockets[0]), life(&sockets[1])];
    let mut emitted = [0; NAMESPACES.len()];
    let mut lossless = true;
    for op in ops {
        match op {
            Op::Emit(at) => {
                emitted[at] += 1;
                sockets[at].emit("n", &emitted[at]).unwrap();
            }
            Op::Disconnect(at) => sockets[at].disconnect(),
            Op::Open(at) => sockets[at].open(),
            Op::Close => manager.close(),
            Op::ServerDisconnects(at) => {
                lossless = false;
                io.of(NAMESPACES[at]).disconnect_sockets(false).unwrap();
            }
            Op::Cut => {
                lossless = false;
                network.cut();
            }
            Op::Down => {
                lossless = false;
                network.down();
            }
            Op::Up => network.replace(Some(&io)),
            Op::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
    network.replace(Some(&io));
    // What the server has said by now shall not undo what follows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for at in 0..NAMESPACES.len() {
        // An attempt that failed before is told; the next one does not fail.
        while within(sockets[at].connect()).await.is_err() {}
        emitted[at] += 1;
        sockets[at].emit("n", &emitted[at]).unwrap();
        let mut numbers = Vec::new();
        while numbers.last() != Some(&emitted[at]) {
            numbers.push(received[at].next().await);
        }
        if retried {
            numbers.dedup();
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let lossless = lossless || retried;
        assert!(
            !lossless || numbers.len() == emitted[at] as usize,
            "{numbers:?} of {}",
            emitted[at]
        );
    }
    settle().await;
    for life in &mut lives {
        let life = life.rest();
        assert!(
            life.windows(2).all(|two| two != ["connect", "connect"])
                && life.last().unwrap() == "connect",
            "{life:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(ops in vec(op(), 0..40), polling in any::<bool>(), retried in any::<bool>()) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live(ops, polling, retried));
    }
}
