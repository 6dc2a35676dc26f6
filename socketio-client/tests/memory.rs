//! The memory that a server can make a client use, measured by counting allocations. It is a
//! program of its own, because the allocator applies to the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use peak_alloc::PeakAlloc;
use socketio_client::{ClientConfig, DisconnectReason, Manager, Reconnection, Socket, Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Notify,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Measurements run one at a time.
struct Measurement {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Measurement {
    fn start() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        ALLOCATOR.reset_peak_usage();
        Self { before: ALLOCATOR.current_usage(), _alone: alone }
    }

    #[track_caller]
    fn peaks_below(&self, limit: usize) {
        let peak = ALLOCATOR.peak_usage().saturating_sub(self.before);
        assert!(peak < limit, "{peak} bytes were allocated, {limit} are allowed");
    }
}

/// The server's message after the client has connected: a text, repeated.
#[derive(Clone, Copy)]
struct Flood {
    text: &'static str,
    count: usize,
    /// Every byte is a chunk of its own.
    chunked: bool,
}

/// A polling server that grants the namespace and then responds to one GET with a flood.
async fn serve(mut stream: DuplexStream, gets: Arc<AtomicUsize>, flood: Flood) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.unwrap();
        if head.starts_with("post") {
            answer(&mut stream, "ok").await;
            continue;
        }
        match gets.fetch_add(1, Ordering::Relaxed) {
            0 => {
                answer(
                    &mut stream,
                    r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#,
                )
                .await
            }
            1 => answer(&mut stream, r#"40{"sid":"b"}"#).await,
            2 => drop(pour(&mut stream, flood).await),
            _ => std::future::pending().await,
        }
    }
}

async fn answer(stream: &mut DuplexStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + body).as_bytes()).await;
}

async fn pour(stream: &mut DuplexStream, flood: Flood) -> std::io::Result<()> {
    let Flood { text, count, chunked } = flood;
    let length = text.len() * count;
    let how = if chunked {
        "transfer-encoding: chunked".to_owned()
    } else {
        format!("content-length: {length}")
    };
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{how}\r\n\r\n").as_bytes()).await?;
    let text = match chunked {
        true => text.chars().map(|char| format!("1\r\n{char}\r\n")).collect(),
        false => text.to_owned(),
    };
    let at_once = (8192 / text.len()).max(1);
    let piece = text.repeat(at_once);
    for _ in 0..count / at_once {
        stream.write_all(piece.as_bytes()).await?;
    }
    for _ in 0..count % at_once {
        stream.write_all(text.as_bytes()).await?;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// A client of such a server that is not connected yet.
fn client(flood: Flood) -> (Socket, Arc<Notify>) {
    let gets = Arc::new(AtomicUsize::new(0));
    let connect = move |_: String, _: u16| {
        let (client, server) = tokio::io::duplex(16 * 1024);
        tokio::spawn(serve(server, gets.clone(), flood));
        std::future::ready(Ok::<_, std::io::Error>(client))
    };
    let config = ClientConfig::default()
        .auto_connect(false)
        .reconnection(Reconnection::off())
        .engine(|engine| engine.transports([Transport::Polling]).connector(connect));
    let socket = Manager::with_config("http://server.test", config).unwrap().socket("/");
    let ended = Arc::new(Notify::new());
    let end = ended.clone();
    socket.on_disconnect(move |_: DisconnectReason| {
        end.notify_one();
        async {}
    });
    (socket, ended)
}

#[tokio::test(start_paused = true)]
async fn a_polling_body_of_malformed_packets_is_not_decoded_ahead() {
    let measurement = Measurement::start();
    let (socket, ended) = client(Flood { text: "4\x1e", count: 8 * MIB, chunked: false });
    socket.connect().await.unwrap();
    ended.notified().await;
    measurement.peaks_below(MIB);
}

#[tokio::test(start_paused = true)]
async fn a_polling_body_of_tiny_packets_costs_no_more_than_a_chunk_of_it() {
    let measurement = Measurement::start();
    let (socket, ended) = client(Flood { text: "6\x1e", count: MIB, chunked: false });
    socket.connect().await.unwrap();
    // The last packet is empty, which is an error. It shows that the body was read to its end.
    ended.notified().await;
    measurement.peaks_below(MIB);
}

#[tokio::test(start_paused = true)]
async fn chunks_of_one_byte_cost_no_more_than_the_message() {
    let measurement = Measurement::start();
    let (socket, ended) = client(Flood { text: "4", count: MIB, chunked: true });
    socket.connect().await.unwrap();
    ended.notified().await;
    measurement.peaks_below(4 * MIB);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_for_slow_handlers_cost_at_most_the_inbox() {
    for text in ["42[\"a\"]\x1e", "42[\"a\",\"0123456789012345678901234567890123456789\"]\x1e"] {
        let measurement = Measurement::start();
        let (socket, _) = client(Flood { text, count: 16 * MIB / text.len(), chunked: false });
        socket.on("a", std::future::pending::<()>);
        socket.connect().await.unwrap();
        // Under a paused clock, this resolves when nothing moves any more.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(socket.is_connected());
        measurement.peaks_below(3 * MIB / 2);
    }
}
