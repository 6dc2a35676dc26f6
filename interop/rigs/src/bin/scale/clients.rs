//! A server in this process, and clients in memory.

use std::{
    io::{self, Error},
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineio_parser::websocket::{Header, TEXT, encode};
use engineio_server::internal::serve_stream;
use socketio_server::{Args, Data, HandlerError, Limits, Server, ServerConfig, Socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
};

/// Longer than a measurement, so that no ping arrives.
const PING_INTERVAL: Duration = Duration::from_secs(100_000);
/// More sessions, namespaces or rooms than a case has.
const MANY: usize = 1_000_000;
/// Bytes between a client and the server in each direction.
const BUFFER: usize = 4096;

pub(crate) struct Host {
    pub(crate) io: Server,
    sockets: Arc<Mutex<Vec<Socket>>>,
    /// Sockets that have disconnected.
    ended: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
}

impl Host {
    /// Makes a server with the namespace `/` and others named `/n0` and so on.
    pub(crate) fn new(namespaces: usize) -> Self {
        let limits = Limits::default().max_namespaces(MANY);
        let config = ServerConfig::default().limits(limits).max_rooms(MANY).engine(|engine| {
            let engine = engine.ping_interval(PING_INTERVAL).max_sessions(MANY);
            engine.max_queued_packets(MANY).max_queued_bytes(MANY * 100)
        });
        let (sockets, ended) = (Arc::default(), Arc::default());
        let host = Self {
            io: Server::with_config(config),
            sockets,
            ended,
            stop: watch::Sender::new(false),
        };
        for number in 0..=namespaces {
            let name = number.checked_sub(1).map_or("/".to_owned(), namespace);
            let namespace = host.io.of(&name);
            let sockets = host.sockets.clone();
            namespace.on_connection(move |socket: Socket| {
                sockets.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
                async {}
            });
            let ended = host.ended.clone();
            namespace.on_disconnect(move || {
                ended.fetch_add(1, Ordering::Relaxed);
                async {}
            });
            namespace.on("echo", |socket: Socket, args: Args| async move {
                socket.emit("echo", &args)?;
                Ok(())
            });
            let all = namespace.clone();
            namespace.on("cast", move |Data(text): Data<String>| {
                let result = all.emit("cast", &text);
                async move { Ok::<_, HandlerError>(result?) }
            });
        }
        host
    }

    /// Returns the sockets in the order of their connections, and forgets them.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        std::mem::take(&mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until this many sockets have disconnected.
    pub(crate) async fn ended(&self, sockets: usize) {
        while self.ended.load(Ordering::Relaxed) < sockets {
            tokio::task::yield_now().await;
        }
    }

    /// Connects a client to the namespace `/`.
    pub(crate) async fn client(&self) -> io::Result<Client> {
        let (stream, end) = duplex(BUFFER);
        let (io, stopped) = (self.io.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            let address = (Ipv4Addr::LOCALHOST, 1).into();
            serve_stream(end, address, io.service(), io.engine().config(), stopped).await;
        });
        let mut client = Client { stream, received: Vec::new() };
        client
            .stream
            .write_all(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
              Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await?;
        let head = loop {
            if let Some(at) = client.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            client.receive().await?;
        };
        client.received.drain(..head);
        client.frames(1).await?;
        client.send("40").await?;
        client.frames(1).await?;
        Ok(client)
    }

    pub(crate) async fn clients(&self, count: usize) -> io::Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(self.client().await?);
        }
        Ok(clients)
    }
}

/// The name of a namespace.
pub(crate) fn namespace(number: usize) -> String {
    format!("/n{number}")
}

pub(crate) struct Client {
    stream: DuplexStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, payload: &str) -> io::Result<()> {
        self.stream.write_all(&encode(TEXT, Some([0; 4]), payload.as_bytes())).await
    }

    /// Waits for `count` frames and drops them.
    pub(crate) async fn frames(&mut self, count: usize) -> io::Result<()> {
        let (mut seen, mut used) = (0, 0);
        while seen < count {
            let rest = self.received.get(used..).unwrap_or_default();
            match Header::parse(rest).map_err(Error::other)? {
                Some((header, head)) if rest.len() >= head + header.payload_len as usize => {
                    used += head + header.payload_len as usize;
                    seen += 1;
                }
                _ => {
                    self.received.drain(..used);
                    used = 0;
                    self.receive().await?;
                }
            }
        }
        self.received.drain(..used);
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Error::other("the server has closed the connection")),
            _ => Ok(()),
        }
    }
}
