//! Users, servers and the network act in random order. A `connect` never follows another one
//! without a `disconnect` between them, events arrive once and in order, only the network loses
//! events, and in the end the sockets are connected. Events with retries are never lost, but may
//! arrive more than once.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use socketio_client::{ClientConfig, Limits, Manager, Reconnection};
use socketio_server::{Ack, Data, Server, Socket as Peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::{Log, Network, URL, connection_events, log, settle, within};

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
    /// Waits some milliseconds.
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

/// Records the numbers that the server receives in a namespace. Some namespaces delay their
/// response.
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
    let mut lives = [connection_events(&sockets[0]), connection_events(&sockets[1])];
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
                io.of(NAMESPACES[at]).disconnect_sockets().unwrap();
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
    // Packets that the server has sent by now must not undo the next steps.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for at in 0..NAMESPACES.len() {
        // An earlier attempt may have failed. The next one succeeds.
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

/// During the upgrade, the old connection takes longer to send its last events than a new one takes
/// to open.
#[tokio::test(start_paused = true)]
async fn events_from_before_an_end_arrive_first_during_an_upgrade() {
    let disconnect = [Op::Disconnect(0), Op::Emit(0), Op::Open(0)];
    let close = [Op::Close, Op::Emit(0), Op::Open(0)];
    for end in [disconnect, close] {
        let mut ops = vec![Op::Open(0), Op::Pass(1), Op::Emit(0)];
        ops.extend(end);
        live(ops, true, false).await;
    }
}

/// The bytes of the ending connection take longer than opening the next one.
#[tokio::test(start_paused = true)]
async fn events_from_before_an_end_arrive_first_over_a_slower_connection() {
    let io = Server::new();
    let config = slow_at_first(&io, 2);
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    let mut received = received(&io, "/");
    for round in 0..2 {
        within(socket.connect()).await.unwrap();
        socket.emit("n", &(2 * round + 1)).unwrap();
        if round == 0 {
            manager.close()
        } else {
            socket.disconnect()
        }
        socket.emit("n", &(2 * round + 2)).unwrap();
    }
    within(socket.connect()).await.unwrap();
    assert_eq!(received.take(4).await, [1, 2, 3, 4]);
}

/// The client ends a connection whose server breaks the protocol, and opens the next one by itself.
#[tokio::test(start_paused = true)]
async fn events_from_before_a_parse_error_arrive_first_over_a_slower_connection() {
    let io = Server::new();
    let soon = Duration::from_millis(1);
    let config = slow_at_first(&io, 1)
        .limits(Limits::default().max_event_name(4))
        .reconnection(Reconnection::default().delay(soon).delay_max(soon));
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    let (mut life, mut received) = (connection_events(&socket), received(&io, "/"));
    within(socket.connect()).await.unwrap();
    socket.emit("n", &1).unwrap();
    io.emit("a long name", &()).unwrap();
    assert_eq!(life.take(2).await, ["connect", "disconnect: parse error"]);
    socket.emit("n", &2).unwrap();
    assert_eq!(received.take(2).await, [1, 2]);
}

/// Options that lead to the server, over `slow` connections that are slow and then over fast ones.
fn slow_at_first(io: &Server, slow: usize) -> ClientConfig {
    let network = Network::new(io);
    let config = network.config();
    let connect = move |_: String, _: u16| {
        let is_slow = network.dialed() < slow;
        let stream = network.dial();
        std::future::ready(if is_slow { stream.map(slowed) } else { stream })
    };
    config.engine(|engine| engine.connector(connect))
}

/// A connection whose bytes reach the server 50 ms late.
fn slowed(far: DuplexStream) -> DuplexStream {
    let (client, near) = tokio::io::duplex(16 * 1024);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(near);
        let (mut far_read, mut far_write) = tokio::io::split(far);
        let up = async {
            let mut bytes = vec![0; 1024];
            while let Ok(count @ 1..) = read.read(&mut bytes).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = far_write.write_all(&bytes[..count]).await;
            }
            let _ = far_write.shutdown().await;
        };
        tokio::join!(up, tokio::io::copy(&mut far_read, &mut write))
    });
    client
}

/// The client waits for the peer's close for 2 s after sending its own, and at most for
/// `close_timeout`.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_delays_the_next_connection_within_close_timeout() {
    let seconds = Duration::from_secs;
    for (timeout, expected) in [(seconds(1), seconds(1)), (seconds(7), seconds(2))] {
        let io = Server::new();
        let network = Network::new(&io);
        let manager = Manager::with_config(URL, network.config().close_timeout(timeout)).unwrap();
        let socket = manager.socket("/");
        within(socket.connect()).await.unwrap();
        network.freeze(true);
        settle().await;
        manager.close();
        network.freeze(false);
        let closed = tokio::time::Instant::now();
        within(socket.connect()).await.unwrap();
        // Under the paused clock, only the granularity of the timer takes time.
        let late = closed.elapsed();
        assert!(late >= expected && late < expected + Duration::from_millis(100), "{late:?}");
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
