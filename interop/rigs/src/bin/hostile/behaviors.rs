//! The hostile clients. Each runs until its connections end, and is then started again.

use std::{
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use flate2::{Compress, Compression, FlushCompress};
use rigs::wire::{Wire, frame};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use crate::http2;

/// The target of a request, up to the name of the transport.
const SOCKET: &str = "/socket.io/?transport=";

/// Approximate number of bytes per write of a flood.
const CHUNK: usize = 16 * 1024;

/// The number of writes of a flood that the server need not have read.
const WINDOW: usize = 8;

/// The payload that the server returns for a ping of WebSocket or HTTP/2.
pub(crate) const MARK: &[u8; 8] = b"received";

/// The pause between the bytes of slow clients.
const SLOW: Duration = Duration::from_millis(300);

/// One kind of hostile client.
pub(crate) struct Behavior {
    pub(crate) name: &'static str,
    /// The clients of a full run.
    pub(crate) clients: usize,
    /// Whether Node's server, which is started without HTTP/2, can be treated like this.
    pub(crate) node: bool,
    run: fn(u16, Arc<Count>) -> Client,
}

type Client = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

macro_rules! behaviors {
    ($($name:ident: $clients:literal, $node:literal, $run:expr;)*) => {
        pub(crate) const BEHAVIORS: &[Behavior] = &[
            $(Behavior {
                name: stringify!($name),
                clients: $clients,
                node: $node,
                run: |port, count| Box::pin($run(port, count)),
            },)*
        ];
    };
}

behaviors! {
    slow_heads: 200, true, slow_head;
    slow_bodies: 200, true, slow_body;
    half_upgrades: 100, true, half_upgrade;
    sessions: 20, true, sessions;
    websockets: 20, true, websockets;
    events: 4, true, |port, count| frames(port, count, |_| text(r#"42["echo"]"#));
    acks: 4, true, |port, count| frames(port, count, |_| text(r#"421["ack"]"#));
    unrequested_acks: 4, true, |port, count| frames(port, count, |_| text("43999[]"));
    namespaces: 4, true, |port, count| frames(port, count, |n| text(&format!("40/unknown-{n},")));
    joins: 4, true, |port, count| frames(port, count, |n| text(&format!(r#"421["join","room-{n}"]"#)));
    pongs: 4, true, |port, count| frames(port, count, |_| text("3"));
    noops: 4, true, |port, count| frames(port, count, |_| text("6"));
    websocket_pings: 4, true, |port, count| frames(port, count, |_| frame(0x89, b""));
    nested_json: 4, true, |port, count| large(port, count, nested());
    deflate_bombs: 4, true, bombs;
    unfinished_binary: 20, true, unfinished_binary;
    slow_readers: 20, true, slow_reader;
    http2_resets: 4, false, |port, count| http2::flood(port, count, http2::reset_request);
    http2_settings: 4, false, |port, count| http2::flood(port, count, |_| http2::settings(&[]));
    http2_pings: 4, false, |port, count| http2::flood(port, count, |_| http2::ping(&[0; 8]));
    http2_streams: 4, false, |port, count| http2::flood(port, count, http2::request);
    http2_continuations: 4, false, |port, count| http2::flood(port, count, http2::continuation);
    descriptors: 1500, true, descriptor;
}

/// The progress of the clients of one behavior. They send at most `limit` units, then only wait.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) units: AtomicU64,
    /// How often the server ended a connection.
    pub(crate) closed: AtomicU64,
    pub(crate) limit: u64,
}

impl Count {
    pub(crate) async fn add(&self, units: u64) {
        if self.units.fetch_add(units, Relaxed) + units >= self.limit {
            pending::<()>().await;
        }
    }
}

impl Behavior {
    /// Runs one client after another, until this process is killed.
    pub(crate) async fn repeat(&self, port: u16, count: Arc<Count>) {
        loop {
            let _ = (self.run)(port, count.clone()).await;
            count.closed.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// Opens a WebSocket and joins the main namespace.
async fn connect(port: u16) -> io::Result<Wire> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    Ok(wire)
}

/// Writes what `next` returns and then `mark`, which the server answers with [`MARK`]. Reads and
/// discards all that the server sends. At most [`WINDOW`] writes are ahead of the answers, so that
/// the units that are counted have been processed.
pub(crate) async fn flood(
    stream: TcpStream,
    count: Arc<Count>,
    mark: Vec<u8>,
    mut next: impl FnMut() -> (Vec<u8>, u64),
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let window = Semaphore::new(WINDOW);
    let write = async {
        loop {
            let (mut bytes, units) = next();
            bytes.extend(&mark);
            writer.write_all(&bytes).await?;
            window.acquire().await.map_err(io::Error::other)?.forget();
            count.add(units).await;
        }
    };
    let read = async {
        let mut buffer = Vec::with_capacity(64 * 1024);
        while reader.read_buf(&mut buffer).await? > 0 {
            window.add_permits(buffer.windows(MARK.len()).filter(|bytes| *bytes == MARK).count());
            // Its end may be the beginning of a mark.
            buffer.drain(..buffer.len().saturating_sub(MARK.len() - 1));
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

/// Floods a WebSocket.
async fn flood_websocket(
    wire: Wire,
    count: Arc<Count>,
    next: impl FnMut() -> (Vec<u8>, u64),
) -> io::Result<()> {
    flood(wire.into_stream(), count, frame(0x89, MARK), next).await
}

/// Sends frames as fast as the server reads, and a pong with each write.
async fn frames(port: u16, count: Arc<Count>, next: fn(u64) -> Vec<u8>) -> io::Result<()> {
    let mut number = 0;
    flood_websocket(connect(port).await?, count, move || {
        let (mut bytes, first) = (text("3"), number);
        while bytes.len() < CHUNK {
            bytes.extend(next(number));
            number += 1;
        }
        (bytes, number - first)
    })
    .await
}

/// Sends one large message again and again.
async fn large(port: u16, count: Arc<Count>, message: Vec<u8>) -> io::Result<()> {
    let message = [text("3"), message].concat();
    flood_websocket(connect(port).await?, count, move || (message.clone(), 1)).await
}

/// A megabyte of empty arrays, for a handler that takes a dynamic value.
fn nested() -> Vec<u8> {
    text(&format!(r#"42["value",[{}]]"#, vec!["[]"; 333_000].join(",")))
}

/// Sends a megabyte of text compressed to a kilobyte.
async fn bombs(port: u16, count: Arc<Count>) -> io::Result<()> {
    let target = format!(
        "{SOCKET}websocket&EIO=4 HTTP/1.1\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\nX-Rest: "
    );
    let mut wire = Wire::websocket(port, &target).await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    let message = format!(r#"42["nobody","{}"]"#, "x".repeat(990_000));
    let mut deflated = Vec::with_capacity(20_000);
    let mut context = Compress::new(Compression::best(), false);
    context.compress_vec(message.as_bytes(), &mut deflated, FlushCompress::Sync)?;
    // The last four bytes are not sent (RFC 7692, section 7.2.1).
    deflated.truncate(deflated.len().saturating_sub(4));
    let bytes = [text("3"), frame(0xc1, &deflated).repeat(10)].concat();
    flood_websocket(wire, count, move || (bytes.clone(), 10)).await
}

/// Sends a header of a request every 300 ms.
async fn slow_head(port: u16, count: Arc<Count>) -> io::Result<()> {
    let mut wire = Wire::connect(port).await?;
    wire.send(format!("GET {SOCKET}polling&EIO=4 HTTP/1.1\r\nHost: x\r\n").as_bytes()).await?;
    count.add(1).await;
    loop {
        tokio::time::sleep(SLOW).await;
        wire.send(b"X-More: x\r\n").await?;
    }
}

/// Sends a byte of a body every 300 ms.
async fn slow_body(port: u16, count: Arc<Count>) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4");
    wire.send(head.as_bytes()).await?;
    count.add(1).await;
    loop {
        tokio::time::sleep(SLOW).await;
        wire.send(b"x").await?;
    }
}

/// Probes an upgrade and does not complete it.
async fn half_upgrade(port: u16, count: Arc<Count>) -> io::Result<()> {
    let (_wire, target) = Wire::polling(port, SOCKET, 4).await?;
    let mut probe = Wire::probe(port, &target).await?;
    probe.text("2probe").await?;
    count.add(1).await;
    probe.until_closed().await
}

/// Opens one polling session after another on one connection, and uses none of them.
async fn sessions(port: u16, count: Arc<Count>) -> io::Result<()> {
    let mut wire = Wire::connect(port).await?;
    loop {
        wire.handshake(SOCKET, 4).await?;
        count.add(1).await;
    }
}

/// Opens a WebSocket and resets the connection.
async fn websockets(port: u16, count: Arc<Count>) -> io::Result<()> {
    let stream = connect(port).await?.into_stream();
    // Otherwise this machine would run out of ports.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    count.add(1).await;
    Ok(())
}

/// Sends most of the attachments of a packet.
async fn unfinished_binary(port: u16, count: Arc<Count>) -> io::Result<()> {
    let mut wire = connect(port).await?;
    let places: Vec<_> = (0..10).map(|n| format!(r#"{{"_placeholder":true,"num":{n}}}"#)).collect();
    wire.text(&format!(r#"4510-["echo",{}]"#, places.join(","))).await?;
    for _ in 0..9 {
        wire.send(&frame(0x82, &[0; 100_000])).await?;
    }
    count.add(1).await;
    wire.until_closed().await
}

/// Requests echoes and reads none of them.
async fn slow_reader(port: u16, count: Arc<Count>) -> io::Result<()> {
    let mut wire = connect(port).await?;
    let message = text(&format!(r#"42["echo","{}"]"#, "x".repeat(20_000)));
    loop {
        wire.send(&message).await?;
        count.add(1).await;
    }
}

/// Opens a connection and sends nothing.
async fn descriptor(port: u16, count: Arc<Count>) -> io::Result<()> {
    let wire = Wire::connect(port).await?;
    count.add(1).await;
    wire.until_closed().await
}
