//! Clients of a few bytes each, on one thread: a socket, a state and the beginning of a message.

mod tasks;

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use engineio_parser::websocket::{Header, TEXT, encode};
use mio::{Events, Interest, Poll, Token, event::Event, net::TcpStream};
use socket2::{Domain, Socket, Type};

pub(crate) use self::tasks::{Report, Task, work};

/// Clients of each source address, each with a port of its own from this one on.
const PORTS: usize = 50_000;
const FIRST_PORT: usize = 10_000;
/// The error of a connection that is being made, on Linux.
const EINPROGRESS: i32 = 115;
/// Failures after which no more clients are started.
const FAILURES: usize = 1000;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Connecting,
    Upgrading,
    Open,
    Ready,
    Closed,
}

struct Client {
    stream: TcpStream,
    state: State,
    /// The beginning of an incomplete message.
    tail: Vec<u8>,
}

pub(crate) struct Crowd {
    port: u16,
    /// The number of this crowd. Each crowd has source addresses of its own.
    number: u8,
    /// Handshakes in progress at most. Less than the backlog of any server.
    handshakes: usize,
    poll: Poll,
    events: Option<Events>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// Clients that are connected to the namespace.
    ready: usize,
    /// Clients that are not connected yet.
    opening: usize,
    failures: usize,
    error: Option<String>,
    pings: u64,
    acks: usize,
    epoch: Instant,
    /// When clients received the broadcast, in µs since `epoch`.
    casts: Vec<u32>,
}

impl Crowd {
    pub(crate) fn new(
        port: u16,
        number: u8,
        handshakes: usize,
        epoch: Instant,
    ) -> io::Result<Self> {
        Ok(Self {
            port,
            number,
            handshakes,
            poll: Poll::new()?,
            events: Some(Events::with_capacity(1024)),
            clients: Vec::new(),
            buffer: vec![0; 256 * 1024],
            ready: 0,
            opening: 0,
            failures: 0,
            error: None,
            pings: 0,
            acks: 0,
            epoch,
            casts: Vec::new(),
        })
    }

    /// Connects clients until there are `wanted` of them, or until many fail.
    fn connect(&mut self, wanted: usize, patience: Duration) -> io::Result<()> {
        self.clients.reserve_exact(wanted);
        self.casts.reserve_exact(wanted);
        while self.clients.len() < wanted && self.failures < FAILURES {
            while self.opening < self.handshakes && self.clients.len() < wanted {
                let index = self.clients.len();
                match self.open(index) {
                    Ok(stream) => {
                        self.opening += 1;
                        self.clients.push(Client {
                            stream,
                            state: State::Connecting,
                            tail: Vec::new(),
                        });
                    }
                    Err(error) => {
                        self.failures = FAILURES;
                        self.error.get_or_insert(format!("client {index}: {error}"));
                        break;
                    }
                }
            }
            let enough = self.ready + 1;
            let below = |crowd: &Self| crowd.opening < crowd.handshakes || crowd.ready >= enough;
            if !self.until(patience, below, |crowd| crowd.ready)? {
                self.error.get_or_insert(format!("no handshake completed in {patience:?}"));
                break;
            }
        }
        self.until(patience, |crowd| crowd.opening == 0, |crowd| crowd.ready)?;
        Ok(())
    }

    /// Starts the connection of a client. Source addresses are 127.0.1.1 and following, of the next
    /// crowd 127.0.2.1 and following, because an address has only 65 535 ports.
    fn open(&self, index: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // The ports of an earlier run may still be in the state TIME_WAIT.
        socket.set_reuse_address(true)?;
        let address = Ipv4Addr::new(127, 0, 1 + self.number, (1 + index / PORTS) as u8);
        let source = SocketAddr::from((address, (FIRST_PORT + index % PORTS) as u16));
        socket.bind(&source.into())?;
        match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), both)?;
        Ok(stream)
    }

    /// Serves the clients until `done`. Returns false if `progress` does not change during
    /// `patience`.
    fn until(
        &mut self,
        patience: Duration,
        done: impl Fn(&Self) -> bool,
        progress: impl Fn(&Self) -> usize,
    ) -> io::Result<bool> {
        let (mut last, mut since) = (progress(self), Instant::now());
        while !done(self) {
            self.turn()?;
            if progress(self) != last {
                (last, since) = (progress(self), Instant::now());
            } else if since.elapsed() > patience {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a message from the first client that is connected.
    fn send_from_first(&mut self, payload: &[u8]) -> io::Result<()> {
        for index in 0..self.clients.len() {
            if self.send(index, payload)? {
                return Ok(());
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Sends a message from a client. Returns false if the client is not connected.
    fn send(&mut self, index: usize, payload: &[u8]) -> io::Result<bool> {
        match self.clients.get_mut(index) {
            Some(client) if client.state == State::Ready => client.send(payload).map(|()| true),
            _ => Ok(false),
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        match self.poll.poll(&mut events, Some(Duration::from_millis(20))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(()) => {
                for event in &events {
                    self.handle(event);
                }
            }
        }
        self.events = Some(events);
        Ok(())
    }

    fn handle(&mut self, event: &Event) {
        let Token(index) = event.token();
        let result = self.advance(index, event);
        let Some(client) = self.clients.get_mut(index) else { return };
        if let Err(error) = result
            && client.state != State::Closed
        {
            match client.state {
                State::Ready => self.ready -= 1,
                _ => self.opening -= 1,
            }
            client.state = State::Closed;
            client.tail = Vec::new();
            self.failures += 1;
            self.error.get_or_insert(format!("client {index}: {error}"));
        }
    }

    fn advance(&mut self, index: usize, event: &Event) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        if client.state == State::Closed {
            return Ok(());
        }
        if client.state == State::Connecting {
            if let Some(error) = client.stream.take_error()? {
                return Err(error);
            }
            if !event.is_writable() {
                return Ok(());
            }
            client.stream.write_all(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
                  Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )?;
            client.state = State::Upgrading;
        }
        if !event.is_readable() {
            return Ok(());
        }
        loop {
            let from = client.tail.len();
            self.buffer[..from].copy_from_slice(&client.tail);
            let read = match client.stream.read(&mut self.buffer[from..]) {
                Ok(0) => return Err(io::Error::other("the server closed the connection")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = &self.buffer[..from + read];
            let mut used = 0;
            if client.state == State::Upgrading
                && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
            {
                if !bytes.starts_with(b"HTTP/1.1 101") {
                    let text = String::from_utf8_lossy(bytes);
                    return Err(io::Error::other(text.replace("\r\n", "; ")));
                }
                client.state = State::Open;
                used = end + 4;
            }
            while client.state != State::Upgrading
                && let Some((header, start)) = Header::parse(&bytes[used..])
                    .map_err(|error| io::Error::other(format!("{error}")))?
                && let Some(payload) = bytes[used + start..].get(..header.payload_len as usize)
            {
                used += start + payload.len();
                match payload {
                    b"2" => {
                        self.pings += 1;
                        client.send(b"3")?;
                    }
                    [b'0', b'{', ..] => client.send(b"40")?,
                    [b'4', b'0', ..] => {
                        client.state = State::Ready;
                        self.opening -= 1;
                        self.ready += 1;
                    }
                    [b'4', b'3', ..] => self.acks += 1,
                    [b'4', b'2', ..] => self.casts.push(self.epoch.elapsed().as_micros() as u32),
                    _ => {}
                }
            }
            // An empty `Vec` occupies no memory.
            client.tail = bytes[used..].to_vec();
            // After a read that did not fill the buffer, the next data causes another event.
            if from + read < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Client {
    /// Sends a frame, masked with zeros. It is far smaller than the socket's buffer.
    fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&encode(TEXT, Some([0; 4]), payload))
    }
}
