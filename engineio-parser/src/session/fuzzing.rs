//! The body of the fuzz target that drives a session with a sequence of operations.

#![allow(clippy::disallowed_methods, reason = "the clock only gives the start of a virtual time")]
#![allow(clippy::indexing_slicing, reason = "the indexes are bounded by the length of the table")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{CloseReason, Config, Input, Loss, Output, Reading, Session, Unsent};
use crate::{
    frame::Frame,
    frames::Frames,
    packet::{Packet, PacketData, PacketType, Revision, Transport},
};

const HANDSHAKE: &str = r#"{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#;
const MAX_PACKETS: usize = 8;
const ATTACHMENTS: usize = 3;
/// More frames than a session can hold: its queue, one packet of each type, and a final packet.
const MAX_FRAMES: usize = MAX_PACKETS + ATTACHMENTS + 8;
const TRANSPORTS: [Transport; 3] =
    [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
const KINDS: [PacketType; 7] = [
    PacketType::Open,
    PacketType::Close,
    PacketType::Ping,
    PacketType::Pong,
    PacketType::Message,
    PacketType::Upgrade,
    PacketType::Noop,
];

/// Drives a session. The first byte selects revision, transport and role; each further byte selects
/// an operation and its argument.
///
/// # Panics
///
/// If the session breaks its contract.
pub fn session_ops(data: &[u8]) {
    let Some((first, operations)) = data.split_first() else {
        return;
    };
    let config = Config { max_queued_packets: MAX_PACKETS, ..Config::default() };
    let revision = if first & 1 == 0 { Revision::V4 } else { Revision::V3 };
    let transport = TRANSPORTS[usize::from(first >> 1) % TRANSPORTS.len()];
    // The machine reads no clock. This is only the start of its virtual time.
    let mut now = Instant::now();
    let server = first & 0x80 == 0;
    let mut session = if server {
        Session::server(now, Arc::new(config), revision, transport, "a".repeat(20).into())
    } else {
        Session::client(now, Arc::new(config), revision, transport)
    };
    let mut closed = false;
    let mut due = Due { frames: 0, via: transport };

    for operation in operations {
        let argument = usize::from(operation >> 4);
        let via = TRANSPORTS[argument % TRANSPORTS.len()];
        match operation & 15 {
            0..=2 => {
                let kind = KINDS[argument % KINDS.len()];
                let text = match kind {
                    _ if argument & 8 != 0 => "",
                    PacketType::Open => HANDSHAKE,
                    _ => "probe",
                };
                let via = TRANSPORTS[usize::from(operation & 15)];
                let _ = session.handle_input(now, Input::Packet(via, Packet::text(kind, text)));
            }
            3 => _ = session.handle_input(now, Input::Malformed(via)),
            4 => _ = session.handle_input(now, Input::PollStarted),
            5 => _ = session.handle_input(now, Input::PollFinished),
            6 => _ = session.handle_input(now, Input::PollAborted),
            7 => _ = session.handle_input(now, Input::PushStarted),
            8 if argument < 12 => _ = session.handle_input(now, Input::PushFinished),
            8 => _ = session.handle_input(now, Input::PushAborted),
            9 => _ = session.handle_input(now, Input::ProbeStarted(via)),
            10 => {
                _ = session.handle_input(
                    now,
                    Input::Lost(via, if argument & 8 == 0 { Loss::Failed } else { Loss::Closed }),
                )
            }
            11 => send(&mut session, argument),
            12 => drain(&mut session, server, via, argument, &mut due),
            13 => match argument & 3 {
                0 => session.set_reading(now, Reading::Open),
                1 => session.set_reading(now, Reading::Watched),
                2 => session.set_reading(now, Reading::Blind),
                _ => session.heard(now),
            },
            14 if argument == 12 => {
                session.handle_sleep(now, Duration::from_secs(3600));
                session.handle_timeout(now);
            }
            14 if argument == 15 => session.close(now, CloseReason::ForcedClose, Unsent::Discard),
            14 if argument > 12 => session.close(now, CloseReason::ForcedClose, Unsent::Send),
            _ => {
                now += Duration::from_millis(1 << argument);
                session.handle_timeout(now);
            }
        }
        check(&mut session, now, &mut closed);
    }
}

/// Sends a run. Its text is the number of its attachments.
fn send(session: &mut Session, argument: usize) {
    let count = argument % (ATTACHMENTS + 1);
    let attachments = (0..count).map(|_| Bytes::from_static(b"abc"));
    let frames = Frames::new(Frame::text(PacketType::Message, &count.to_string()), attachments);
    if argument & 8 == 0 {
        let before = session.queued_packets();
        if let Err(error) = session.send(frames.clone()) {
            assert_eq!(error.into_frames().count(), frames.count());
            assert_eq!(session.queued_packets(), before);
        }
    } else {
        session.send_volatile(frames);
    }
}

/// The attachments of the current run that have not left yet.
struct Due {
    frames: usize,
    /// The transport of the run.
    via: Transport,
}

/// Takes frames for a transport: as many as fit a payload, one frame, or all.
fn drain(session: &mut Session, server: bool, via: Transport, argument: usize, due: &mut Due) {
    let promised = session.has_transmit(via);
    let limit = if via == Transport::Polling || argument >= 8 { MAX_FRAMES } else { 1 };
    let frames: Vec<_> =
        std::iter::from_fn(|| session.poll_transmit(via, argument * 8)).take(limit).collect();
    assert!(frames.len() < MAX_FRAMES, "a session yields frames without end");
    if server || via != Transport::Polling {
        assert_eq!(
            promised,
            !frames.is_empty(),
            "has_transmit predicts whether poll_transmit gives a frame"
        );
    } else {
        assert!(
            promised || frames.is_empty(),
            "poll_transmit gives no frame unless has_transmit is true"
        );
    }
    for frame in frames {
        match (frame.kind(), frame.to_packet().data) {
            // These packets belong to a transport or end a session. They may come at any time.
            (PacketType::Noop | PacketType::Close | PacketType::Upgrade, _) => {}
            (PacketType::Ping | PacketType::Pong, PacketData::Text(text)) if text == "probe" => {}
            (PacketType::Message, PacketData::Binary(_)) => {
                assert!(due.frames > 0, "an attachment without its text frame");
                // Polling is replaced only after all its frames have arrived.
                assert!(due.via == Transport::Polling || due.via == via, "a run is not split");
                due.frames -= 1;
            }
            (kind, data) => {
                assert_eq!(due.frames, 0, "a run is indivisible");
                if let (PacketType::Message, PacketData::Text(text)) = (kind, data) {
                    *due = Due { frames: text.parse().unwrap_or_default(), via };
                }
            }
        }
    }
}

fn check(session: &mut Session, now: Instant, closed: &mut bool) {
    assert!(session.queued_packets() <= MAX_PACKETS);
    assert!(session.poll_timeout().is_none_or(|at| at > now || !session.is_open()));
    while let Some(output) = session.poll_output() {
        assert!(!*closed, "Closed is the last output");
        *closed = matches!(output, Output::Closed(_));
    }
    assert_eq!(session.is_closed(), *closed);
    if *closed {
        assert!(session.poll_timeout().is_none() && !session.is_upgrading());
        assert_eq!(session.queued_bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_random_operations_keep_the_contract() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let operations: Vec<u8> = (0..64)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[0]
                })
                .collect();
            session_ops(&operations);
        }
    }
}
