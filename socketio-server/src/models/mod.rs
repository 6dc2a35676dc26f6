//! Models of the places where threads meet in a server. `shuttle` runs the server's own code in many
//! orders of threads, and fails if all of them wait for each other.
//!
//! `cargo xtask models` runs them. The engine below has locks of the standard library, so each of its
//! operations is one step; its own models are in `engineio-server`. Tokio's clock stands still, so
//! that no deadline hides a wake-up that was lost.

mod namespaces;
mod recovery;
mod rooms;
mod sockets;

use std::{
    collections::VecDeque,
    mem::ManuallyDrop,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use engineio_server::{Connection, Engine, Unsent};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use shuttle::{
    Config, Runner,
    future::{block_on, spawn},
    scheduler::{PctScheduler, RandomScheduler},
    thread::JoinHandle,
};
use socketio_parser::Nsp;
use tokio::runtime::Runtime;

use crate::{
    ServerConfig,
    driver::Driver,
    namespace::{Namespace, registry::Registry},
    socket::Socket,
};

thread_local! {
    /// The runtime of a model's threads, which are all on one thread of the system. Never dropped,
    /// because that would wake threads of a model that has failed.
    static RUNTIME: ManuallyDrop<Runtime> = {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        ManuallyDrop::new(runtime.enable_time().start_paused(true).build().unwrap())
    };
}

/// Runs a model in as many orders of threads as `SHUTTLE_ITERATIONS` says: half of them random,
/// half with few preemptions at random places.
pub(crate) fn model(run: impl Fn() + Send + Sync + 'static) {
    let iterations = std::env::var("SHUTTLE_ITERATIONS").ok();
    let iterations = iterations.and_then(|text| text.parse().ok()).unwrap_or(200);
    RUNTIME.with(|runtime| {
        let _context = runtime.enter();
        let run = Arc::new(run);
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.silence_warnings = true;
        let again = run.clone();
        Runner::new(RandomScheduler::new(iterations), config.clone()).run(move || again());
        Runner::new(PctScheduler::new(3, iterations), config).run(move || run());
    });
}

/// The parts of a server. The models run the drivers of its clients.
struct World {
    registry: Arc<Registry>,
    engine: Engine,
    connections: mpsc::Receiver<Connection>,
    main: Namespace,
    /// The sockets that have connected.
    sockets: mpsc::Receiver<Socket>,
}

impl World {
    fn new(config: ServerConfig) -> Self {
        let (opened, connections) = mpsc::channel();
        let engine = Engine::new(config.engine.clone(), move |connection| {
            opened.send(connection).unwrap();
            async {}
        });
        let registry = Arc::new(Registry::new(Arc::new(config)));
        let main = registry.of(Nsp::root());
        let (connected, sockets) = mpsc::channel();
        main.on_connection(move |socket: Socket| {
            connected.send(socket).unwrap();
            async {}
        });
        Self { registry, engine, connections, main, sockets }
    }

    /// Opens a session and starts its driver.
    fn open(&self) -> Client {
        let open = request(self.engine.clone(), Method::GET, String::new(), "");
        assert_eq!(block_on(open).0, 200);
        let connection = self.connections.try_recv().unwrap();
        let (engine, handle) = (self.engine.clone(), connection.handle().clone());
        let driver = spawn(Driver::new(connection, self.registry.clone()));
        Client { engine, handle, driver, received: VecDeque::new() }
    }

    /// Opens a session and connects it to `/`.
    fn connect(&self) -> (Client, Socket) {
        let mut client = self.open();
        client.send("40");
        assert!(client.receive().unwrap().starts_with("0{"));
        (client, self.next_socket())
    }

    /// Waits for the next socket whose connection handler has run.
    fn next_socket(&self) -> Socket {
        loop {
            match self.sockets.try_recv() {
                Ok(socket) => return socket,
                Err(_) => shuttle::thread::yield_now(),
            }
        }
    }

    /// Fails if a session, a socket or a handler is left.
    fn assert_empty(&self) {
        assert_eq!(self.engine.clients_count(), 0);
        assert_eq!(self.main.hub().len(), 0);
        assert_eq!(self.main.hub().count_rooms(), 0);
    }
}

/// A client that uses long-polling.
struct Client {
    engine: Engine,
    handle: engineio_server::Handle,
    driver: shuttle::future::JoinHandle<()>,
    /// The Socket.IO packets that have arrived and were not read.
    received: VecDeque<String>,
}

impl Client {
    fn sid(&self) -> String {
        format!("&sid={}", self.handle.sid())
    }

    /// Sends Engine.IO packets. Ignores that the session has ended.
    fn send(&self, packets: &str) {
        block_on(request(self.engine.clone(), Method::POST, self.sid(), packets));
    }

    /// Returns the next Socket.IO packet, or `None` if the session has ended.
    fn receive(&mut self) -> Option<String> {
        while self.received.is_empty() {
            let poll = request(self.engine.clone(), Method::GET, self.sid(), "");
            let (status, body) = block_on(poll);
            if status != 200 {
                return None;
            }
            let packets = body.split('\x1e').filter_map(|packet| packet.strip_prefix('4'));
            self.received.extend(packets.map(String::from));
        }
        self.received.pop_front()
    }

    /// Returns the packets up to one that begins like this, and that packet.
    fn receive_until(&mut self, start: &str) -> Vec<String> {
        let mut packets = Vec::new();
        while !packets.last().is_some_and(|packet: &String| packet.starts_with(start)) {
            packets.push(self.receive().unwrap_or_else(|| panic!("ended after {packets:?}")));
        }
        packets
    }

    /// Ends the session when a thread has ended. Fails if a packet arrives until then. Returns the
    /// result of the thread.
    fn assert_nothing_more<T: Send + 'static>(mut self, last: JoinHandle<T>) -> T {
        let handle = self.handle.clone();
        let closer = thread(move || {
            let result = last.join().unwrap();
            handle.close(Unsent::Send);
            result
        });
        if let Some(packet) = self.receive() {
            panic!("{packet} follows the last packet");
        }
        block_on(self.driver).unwrap();
        closer.join().unwrap()
    }

    /// Breaks the connection, and waits for the end of the driver.
    fn lose(self) {
        self.handle.close(Unsent::Discard);
        block_on(self.driver).unwrap();
    }
}

async fn request(engine: Engine, method: Method, sid: String, body: &str) -> (u16, String) {
    let uri = format!("/socket.io/?EIO=4&transport=polling{sid}");
    let body = Full::new(Bytes::from(body.to_owned()));
    let request = Request::builder().method(method).uri(uri).body(body).unwrap();
    let response = engine.handle(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Runs a closure in another thread.
fn thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    shuttle::thread::spawn(run)
}
