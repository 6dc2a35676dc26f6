//! The kinds of clients. Each runs until its connections end. Dropping a client closes its open
//! connections.

use std::{future::Future, io, pin::Pin};

use rigs::wire::{Wire, frame};

/// One kind of client.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether the client is well-behaved, so that the server must serve it.
    pub(crate) succeeds: bool,
    pub(crate) run: fn(u16, usize) -> Client,
}

type Client = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

macro_rules! kinds {
    ($($name:ident: $succeeds:literal,)*) => {
        pub(crate) const KINDS: &[Kind] = &[
            $(Kind {
                name: stringify!($name),
                succeeds: $succeeds,
                run: |port, n| Box::pin($name(port, n)),
            },)*
        ];
    };
}

kinds! {
    websocket: true,
    polling: true,
    upgrade: true,
    revision_3_websocket: true,
    revision_3_polling: true,
    revision_3_upgrade: true,
    upgrade_aborted: false,
    upgrade_garbage: false,
    upgrade_never_finished: false,
    garbage_frames: false,
    garbage_packets: false,
    garbage_body: false,
    half_a_head: false,
    half_a_body: false,
    too_large: false,
    too_many_fragments: false,
    silent_websocket: false,
    silent_polling: false,
    vanishing_websocket: false,
    vanishing_unread: false,
    vanishing_poll: false,
    vanishing_push: false,
    two_polls: false,
    not_connecting: false,
    unfinished_packet: false,
    not_reading: false,
    unknown: false,
}

const SOCKET: &str = "/socket.io/?transport=";
const ECHO: &str = "/engine.io/?transport=";

/// Polls until a packet begins with `prefix`. Answers pings.
async fn poll(wire: &mut Wire, target: &str, prefix: &str) -> io::Result<()> {
    loop {
        let body = wire.exchange(target, None).await?;
        for packet in body.split('\x1e') {
            if packet.starts_with(prefix) {
                return Ok(());
            }
            if packet == "2" {
                wire.exchange(target, Some("3")).await?;
            }
        }
    }
}

async fn talk(wire: &mut Wire, n: usize) -> io::Result<()> {
    wire.text("40").await?;
    wire.expect("40{").await?;
    for round in 0..5 {
        wire.text(&format!(r#"42["echo",{n},{round}]"#)).await?;
        wire.expect(&format!(r#"42["echo",{n},{round}]"#)).await?;
    }
    wire.text(r#"42["cast","hello"]"#).await
}

async fn websocket(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.expect("0{").await?;
    talk(&mut wire, n).await?;
    if n.is_multiple_of(2) {
        wire.text("41").await?;
    }
    wire.close().await
}

async fn polling(port: u16, n: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    wire.exchange(&target, Some("40")).await?;
    poll(&mut wire, &target, "40{").await?;
    for _ in 0..3 {
        wire.exchange(&target, Some(&format!(r#"42["echo",{n}]"#))).await?;
        poll(&mut wire, &target, &format!(r#"42["echo",{n}]"#)).await?;
    }
    wire.exchange(&target, Some("1")).await.map(drop)
}

async fn upgrade(port: u16, n: usize) -> io::Result<()> {
    let (_wire, target) = Wire::polling(port, SOCKET, 4).await?;
    let mut wire = Wire::probe(port, &target).await?;
    wire.text("2probe").await?;
    wire.expect("3probe").await?;
    wire.text("5").await?;
    talk(&mut wire, n).await?;
    wire.close().await
}

async fn revision_3_websocket(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=3")).await?;
    wire.expect("40").await?;
    wire.text("2").await?;
    wire.expect("3").await?;
    wire.text(&format!(r#"42["echo",{n}]"#)).await?;
    wire.expect(r#"42["echo""#).await?;
    wire.close().await
}

async fn revision_3_polling(port: u16, _: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, ECHO, 3).await?;
    wire.exchange(&target, Some("6:4hello")).await?;
    let body = wire.exchange(&target, None).await?;
    if body != "6:4hello" {
        return Err(io::Error::other(body));
    }
    wire.exchange(&target, Some("1:1")).await.map(drop)
}

async fn revision_3_upgrade(port: u16, _: usize) -> io::Result<()> {
    let (_wire, target) = Wire::polling(port, ECHO, 3).await?;
    let mut wire = Wire::probe(port, &target).await?;
    wire.text("2probe").await?;
    wire.expect("3probe").await?;
    wire.text("5").await?;
    wire.text("4hello").await?;
    wire.expect("4hello").await?;
    wire.close().await
}

/// Drops the connections at some point of the upgrade. The server detects this only by a timeout.
async fn upgrade_aborted(port: u16, n: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    if n.is_multiple_of(2) {
        wire.ask(&target, None).await?;
    }
    let mut probe = Wire::probe(port, &target).await?;
    if !n.is_multiple_of(3) {
        probe.text("2probe").await?;
    }
    if n % 3 > 1 {
        probe.expect("3probe").await?;
    }
    Ok(())
}

async fn upgrade_garbage(port: u16, n: usize) -> io::Result<()> {
    let (_wire, target) = Wire::polling(port, ECHO, 4).await?;
    let mut probe = Wire::probe(port, &target).await?;
    probe.text(["garbage", "4hello", "2prob", ""][n % 4]).await?;
    probe.until_closed().await
}

/// Keeps both connections open, but does not finish the upgrade.
async fn upgrade_never_finished(port: u16, _: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    wire.ask(&target, None).await?;
    let mut probe = Wire::probe(port, &target).await?;
    probe.text("2probe").await?;
    probe.until_closed().await?;
    wire.until_closed().await
}

async fn garbage_frames(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.send(&noise(n, 2000)).await?;
    wire.until_closed().await
}

async fn garbage_packets(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    let packets =
        [r#"42["echo""#, "9", "4", "451-[]", r#"4{"a":1}"#, "\u{fffd}", "44444", "40/x,{"];
    wire.text(packets[n % packets.len()]).await?;
    wire.until_closed().await
}

async fn garbage_body(port: u16, n: usize) -> io::Result<()> {
    let (mut wire, target) =
        Wire::polling(port, if n.is_multiple_of(2) { SOCKET } else { ECHO }, 4).await?;
    wire.ask(&target, Some("garbage\x1e\x1e")).await?;
    wire.answer().await.map(drop)
}

async fn half_a_head(port: u16, _: usize) -> io::Result<()> {
    let mut wire = Wire::connect(port).await?;
    wire.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost:").await?;
    wire.until_closed().await
}

async fn half_a_body(port: u16, _: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42[");
    wire.send(head.as_bytes()).await?;
    wire.answer().await?;
    wire.until_closed().await
}

async fn too_large(port: u16, n: usize) -> io::Result<()> {
    if n.is_multiple_of(2) {
        let (mut wire, target) = Wire::polling(port, ECHO, 4).await?;
        wire.ask(&target, Some(&"4".repeat(20_001))).await?;
        return wire.answer().await.map(drop);
    }
    let mut wire = Wire::websocket(port, &format!("{ECHO}websocket&EIO=4")).await?;
    wire.send(&frame(0x82, &[0; 20_001])).await?;
    wire.until_closed().await
}

async fn too_many_fragments(port: u16, _: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{ECHO}websocket&EIO=4")).await?;
    let mut frames = frame(0x01, b"4");
    for _ in 0..100 {
        frames.extend(frame(0x00, b""));
    }
    wire.send(&frames).await?;
    wire.until_closed().await
}

/// Answers no ping and closes nothing.
async fn silent_websocket(port: u16, n: usize) -> io::Result<()> {
    let revision = 3 + n % 2;
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO={revision}")).await?;
    wire.text("40").await?;
    wire.until_closed().await
}

/// Never polls.
async fn silent_polling(port: u16, n: usize) -> io::Result<()> {
    Wire::polling(port, SOCKET, 3 + (n % 2) as u8).await?.0.until_closed().await
}

async fn vanishing_websocket(port: u16, _: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    wire.text(r#"42["echo","nobody reads this"]"#).await
}

/// Sends more than the server takes while its handlers wait for the end of the socket.
async fn vanishing_unread(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    let text = "x".repeat(10_000);
    for _ in 0..100 + n % 100 {
        wire.text(&format!(r#"42["watch","{text}"]"#)).await?;
    }
    Ok(())
}

async fn vanishing_poll(port: u16, n: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 3 + (n % 2) as u8).await?;
    wire.ask(&target, None).await
}

async fn vanishing_push(port: u16, _: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, SOCKET, 4).await?;
    wire.send(format!("POST {target} HTTP/1.1\r\nContent-Length: 9\r\n\r\n40").as_bytes()).await
}

async fn two_polls(port: u16, _: usize) -> io::Result<()> {
    let (mut wire, target) = Wire::polling(port, ECHO, 4).await?;
    let mut second = Wire::connect(port).await?;
    wire.ask(&target, None).await?;
    second.ask(&target, None).await?;
    wire.answer().await?;
    second.answer().await.map(drop)
}

/// Opens a session that joins no namespace.
async fn not_connecting(port: u16, n: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    if n.is_multiple_of(2) {
        wire.text("40/nowhere,").await?;
    }
    wire.expect("never").await.map(drop)
}

/// Sends a packet without its attachments.
async fn unfinished_packet(port: u16, _: usize) -> io::Result<()> {
    let mut wire = Wire::websocket(port, &format!("{SOCKET}websocket&EIO=4")).await?;
    wire.text("40").await?;
    wire.expect("40{").await?;
    wire.text(r#"452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await?;
    wire.send(&frame(0x82, &[0; 5000])).await
}

/// Requests echoes and reads none of them.
async fn not_reading(port: u16, n: usize) -> io::Result<()> {
    // Only some of these clients run, because the kernel's buffers are large.
    if !n.is_multiple_of(6) {
        return Ok(());
    }
    let mut wire = Wire::websocket(port, &format!("{ECHO}websocket&EIO=4")).await?;
    let message = frame(0x82, &[0; 20_000]);
    // Fails when the server closes the connection.
    for _ in 0..5_000 {
        wire.send(&message).await?;
    }
    Err(io::ErrorKind::TimedOut.into())
}

async fn unknown(port: u16, _: usize) -> io::Result<()> {
    for target in [
        "/socket.io/?transport=nothing&EIO=4",
        "/socket.io/?transport=polling&EIO=4&sid=nobody",
        "/socket.io/?transport=polling&EIO=9",
        "/nowhere",
    ] {
        let mut wire = Wire::connect(port).await?;
        wire.ask(target, None).await?;
        wire.answer().await?;
    }
    Ok(())
}

/// Returns pseudo-random bytes, the same in every run.
fn noise(n: usize, length: usize) -> Vec<u8> {
    let mut state = n as u32 | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
