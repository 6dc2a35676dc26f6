//! Sessions over WebTransport with this project's server, over the loopback interface.

use std::{net::UdpSocket, sync::Arc, time::Duration};

use engineio_server::{
    Listening, Unsent,
    rustls::{ServerConfig as TlsConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};
use engines::Port;
use socketio_client::{
    Binary, ClientConfig, Data, EngineOptions, Manager, ManagerEvent, Reconnection, Transport,
};
use socketio_server::{Data as Arguments, Recovery, Server, ServerConfig, Socket as Peer};

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
        let url = format!("http://127.0.0.1:{}", self.port.number());
        let config = ClientConfig::default()
            .auto_connect(false)
            .reconnection(Reconnection::default().delay(Duration::from_millis(10)))
            .engine(|engine| options(engine.certificate_hashes([self.hash])));
        Manager::with_config(&url, config).unwrap()
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
