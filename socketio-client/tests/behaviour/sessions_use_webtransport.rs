//! Sessions over WebTransport with this project's server, over the loopback interface.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use engineio_server::{
    Listening, Unsent,
    rustls::{ServerConfig as TlsConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};
use engines::Port;
use socketio_client::{
    Binary, ClientConfig, Data, EngineOptions, Manager, ManagerEvent, Reconnection, Transport,
};
use socketio_server::{Data as Arguments, Recovery, Server, ServerConfig, Socket as Peer};
use tokio::{sync::watch, task::JoinHandle};

use crate::support::{Log, log, within};

const TRANSPORTS: [Transport; 3] =
    [Transport::Polling, Transport::WebSocket, Transport::WebTransport];

/// A certificate and the port, which stay the same when the server is restarted.
struct Site {
    tls: Arc<TlsConfig>,
    hash: [u8; 32],
    port: Port,
}

/// A server that listens on the port of a site.
struct Running {
    io: Server,
    tcp: Listening,
    udp: Option<Listening>,
}

impl Site {
    fn new() -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let tls = TlsConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = suite.common.hash_provider.hash(own.cert.der());
        Self {
            tls: tls.into(),
            hash: hash.as_ref().try_into().unwrap(),
            port: Port::free().unwrap(),
        }
    }

    /// Starts a server, over UDP only if `udp` is set.
    async fn start(&self, config: ServerConfig, udp: bool) -> Running {
        let io = Server::with_config(config.engine(|engine| engine.transports(&TRANSPORTS)));
        io.on("echo", |Arguments(data): Arguments<socketio_server::Value>| async move { data });
        io.on("events", |peer: Peer, Arguments(count): Arguments<u32>| async move {
            for number in 0..count {
                peer.emit("event", &number)?;
            }
            Ok(())
        });
        let address = ("127.0.0.1", self.port.number());
        let tcp = io.bind(address).await.unwrap();
        let udp = match udp {
            true => Some(io.bind_webtransport(address, self.tls.clone()).await.unwrap()),
            false => None,
        };
        Running { io, tcp, udp }
    }

    fn manager(&self, transports: &[Transport]) -> Manager {
        self.manager_with(|engine| engine.transports(transports.iter().copied()))
    }

    fn manager_with(&self, options: impl FnOnce(EngineOptions) -> EngineOptions) -> Manager {
        self.manager_of(|config| config.engine(options))
    }

    fn manager_of(&self, options: impl FnOnce(ClientConfig) -> ClientConfig) -> Manager {
        let url = format!("http://127.0.0.1:{}", self.port.number());
        let config = ClientConfig::default()
            .auto_connect(false)
            .reconnection(Reconnection::default().delay(Duration::from_millis(10)))
            .engine(|engine| engine.certificate_hashes([self.hash]));
        Manager::with_config(&url, options(config)).unwrap()
    }
}

impl Running {
    /// Ends the server, so that its port is free.
    async fn stop(self) {
        self.io.close();
        self.io.ended().await;
        self.tcp.stop();
        self.tcp.join().await;
        if let Some(udp) = self.udp {
            udp.stop();
            udp.join().await;
        }
    }
}

/// A line for the datagrams of one client.
struct UdpLine {
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl UdpLine {
    async fn start(port: u16, to: SocketAddr) -> Self {
        let client = tokio::net::UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        server.connect(to).await.unwrap();
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let mut address = None;
            loop {
                tokio::select! {
                    Ok((len, from)) = client.recv_from(&mut up) => {
                        address = Some(from);
                        if !*is_cut.borrow() {
                            let _ = server.send(&up[..len]).await;
                        }
                    }
                    Ok(len) = server.recv(&mut down) => {
                        if let Some(address) = address.filter(|_| !*is_cut.borrow()) {
                            let _ = client.send_to(&down[..len], address).await;
                        }
                    }
                }
            }
        });
        Self { cut, task }
    }

    /// Drops all datagrams from now on.
    fn cut(&self) {
        self.cut.send_replace(true);
    }
}

impl Drop for UdpLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn upgrades(manager: &Manager) -> Log<Transport> {
    let (sender, log) = log();
    manager.on(move |event| {
        if let ManagerEvent::Upgrade(via) = event {
            let _ = sender.send(*via);
        }
    });
    log
}

async fn exchanges(manager: &Manager) {
    let socket = manager.socket("/");
    for text in ["hello".to_owned(), "x".repeat(900_000)] {
        let answer: String = within(socket.emit_with_ack("echo", &text)).await.unwrap();
        assert_eq!(answer, text);
    }
    for len in [0, 3, 700_000] {
        let data = Binary::from(vec![7; len]);
        let answer: Binary = within(socket.emit_with_ack("echo", &data)).await.unwrap();
        assert_eq!(answer, data);
    }
    let (sender, mut events) = log();
    socket.on("event", move |Data(number): Data<u32>| {
        let _ = sender.send(number);
        async {}
    });
    socket.emit("events", &300).unwrap();
    assert_eq!(events.take(300).await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_starts_with_webtransport() {
    let site = Site::new();
    let server = site.start(ServerConfig::default(), true).await;
    let manager = site.manager(&[Transport::WebTransport]);
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    assert_eq!(manager.transport(), Some(Transport::WebTransport));
    exchanges(&manager).await;
    assert_eq!(server.io.engine().stats().sessions.webtransport, 1);
    socket.disconnect();
    within(manager.closed()).await;
    within(server.stop()).await;
}

#[tokio::test]
async fn a_polling_session_is_upgraded_to_webtransport() {
    let site = Site::new();
    let server = site.start(ServerConfig::default(), true).await;
    let manager = site.manager(&[Transport::Polling, Transport::WebTransport]);
    let mut upgrades = upgrades(&manager);
    within(manager.socket("/").connect()).await.unwrap();
    exchanges(&manager).await;
    assert_eq!(upgrades.next().await, Transport::WebTransport);
    exchanges(&manager).await;
    manager.close();
    within(manager.closed()).await;
    within(server.stop()).await;
}

#[tokio::test]
async fn a_session_is_upgraded_to_a_websocket_if_udp_is_blocked() {
    for silent in [false, true] {
        let site = Site::new();
        let server = site.start(ServerConfig::default(), false).await;
        let _socket = silent.then(|| UdpSocket::bind(("127.0.0.1", site.port.number())).unwrap());
        let manager = site.manager(&TRANSPORTS);
        let mut upgrades = upgrades(&manager);
        within(manager.socket("/").connect()).await.unwrap();
        exchanges(&manager).await;
        assert_eq!(upgrades.next().await, Transport::WebSocket);
        exchanges(&manager).await;
        assert_eq!(manager.transport(), Some(Transport::WebSocket));
        manager.close();
        within(server.stop()).await;
    }
}

/// Both ends notice it by the heartbeat.
#[tokio::test]
async fn a_session_whose_datagrams_are_blocked_returns_over_tcp() {
    const SECOND: Duration = Duration::from_secs(1);
    let site = Site::new();
    let config = ServerConfig::default()
        .connection_state_recovery(Recovery::default())
        .engine(|engine| engine.ping_interval(SECOND).ping_timeout(2 * SECOND));
    let server = site.start(config, false).await;
    let udp = server.io.bind_webtransport("127.0.0.1:0", site.tls.clone()).await.unwrap();
    let line = UdpLine::start(site.port.number(), udp.local_addr().unwrap()).await;
    let (sender, mut numbers) = log();
    server.io.on("number", move |Arguments(number): Arguments<u32>| {
        let _ = sender.send(number);
        async move { number }
    });
    // On a busy machine, a WebSocket could be open before WebTransport has used its head start.
    let transports = [Transport::Polling, Transport::WebTransport];
    let manager = site.manager_of(|config| {
        config.socket(|socket| socket.retries(5)).engine(|engine| engine.transports(transports))
    });
    let mut upgrades = upgrades(&manager);
    let socket = manager.socket("/");
    let (sender, mut news) = log();
    socket.on("news", move |Data(number): Data<u32>| {
        let _ = sender.send(number);
        async {}
    });
    let (sender, mut disconnects) = log();
    socket.on_disconnect(move |reason: socketio_client::DisconnectReason| {
        let _ = sender.send(reason.to_string());
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(upgrades.next().await, Transport::WebTransport);
    for (blocked, from) in [(false, 0), (true, 20)] {
        if blocked {
            line.cut();
        }
        (from..from + 20).for_each(|number| server.io.emit("news", &number).unwrap());
        for number in from..from + 20 {
            let ack: u32 = within(socket.emit_with_ack("number", &number)).await.unwrap();
            assert_eq!(ack, number);
        }
        assert_eq!(news.take(20).await, (from..from + 20).collect::<Vec<_>>());
    }
    assert_eq!(disconnects.rest(), ["ping timeout"]);
    assert!(socket.is_recovered());
    assert_eq!(manager.transport(), Some(Transport::Polling));
    // An event whose ack was lost arrives again.
    let mut arrived = numbers.rest();
    arrived.dedup();
    assert_eq!(arrived, (0..40).collect::<Vec<_>>());
    within(async {
        while server.io.engine().stats().sessions.webtransport > 0 {
            tokio::time::sleep(SECOND / 10).await;
        }
    })
    .await;
    assert_eq!(server.io.engine().stats().sessions.total(), 1);
    manager.close();
    within(server.stop()).await;
    udp.stop();
    within(udp.join()).await;
}

#[tokio::test]
async fn a_client_returns_when_its_server_is_restarted() {
    let site = Site::new();
    let server = site.start(ServerConfig::default(), true).await;
    let manager = site.manager(&[Transport::WebTransport]);
    let socket = manager.socket("/");
    let (sender, mut log) = log();
    let disconnects = sender.clone();
    socket.on_disconnect(move |reason: socketio_client::DisconnectReason| {
        let _ = disconnects.send(reason.to_string());
        async {}
    });
    socket.on("connect", move || {
        let _ = sender.send("connect".to_owned());
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(log.next().await, "connect");
    within(server.stop()).await;
    assert_eq!(log.next().await, "transport close");
    let server = site.start(ServerConfig::default(), true).await;
    assert_eq!(log.next().await, "connect");
    exchanges(&manager).await;
    manager.close();
    within(server.stop()).await;
}

#[tokio::test]
async fn a_lost_session_is_recovered() {
    let site = Site::new();
    let recovery = Recovery::default();
    let server =
        site.start(ServerConfig::default().connection_state_recovery(recovery), true).await;
    let manager = site.manager(&[Transport::WebTransport]);
    let socket = manager.socket("/");
    let (sender, mut seen) = log();
    let connects = sender.clone();
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = connects.send(format!("recovered: {}", socket.is_recovered()));
        async {}
    });
    socket.on("news", move |Data(text): Data<String>| {
        let _ = sender.send(text);
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.next().await, "recovered: false");
    server.io.emit("news", "first").unwrap();
    assert_eq!(seen.next().await, "first");
    let sid = manager.engine_id().unwrap();
    server.io.engine().client(&sid).unwrap().close(Unsent::Discard);
    server.io.emit("news", "missed").unwrap();
    assert_eq!(seen.take(2).await, ["missed", "recovered: true"]);
    manager.close();
    within(server.stop()).await;
}

#[tokio::test]
async fn the_last_events_of_a_client_arrive() {
    let site = Site::new();
    let server = site.start(ServerConfig::default(), true).await;
    let (sender, mut seen) = log();
    server.io.on("last", move |Arguments(text): Arguments<String>| {
        let _ = sender.send(text.len());
        async {}
    });
    for _ in 0..5 {
        let manager = site.manager(&[Transport::WebTransport]);
        let socket = manager.socket("/");
        within(socket.connect()).await.unwrap();
        for _ in 0..20 {
            socket.emit("last", &"x".repeat(30_000)).unwrap();
        }
        socket.disconnect();
        assert_eq!(seen.take(20).await, [30_000; 20]);
    }
    within(server.stop()).await;
}
