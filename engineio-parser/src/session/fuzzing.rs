//! The body of the fuzz target that drives a server's session by a sequence of operations.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{CloseReason, Config, Input, Output, Session};
use crate::{
    frame::{Frame, Frames},
    packet::{Packet, PacketType, Revision, Transport},
};

const MAX_PACKETS: usize = 8;
const ATTACHMENTS: usize = 3;
/// More frames than a session can ever hold: its queue, one packet of each type, and a farewell.
const MOST: usize = MAX_PACKETS + ATTACHMENTS + 8;
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

/// Drives a server's session: the first byte picks revision and transport, each further one an operation with its argument.
/// Panics where a promise is broken.
pub fn session_ops(data: &[u8]) {
    let Some((first, operations)) = data.split_first() else {
        return;
    };
    let config = Config { max_queued_packets: MAX_PACKETS, ..Config::default() };
    let revision = if first & 1 == 0 { Revision::V4 } else { Revision::V3 };
    let transport = TRANSPORTS[usize::from(first >> 1) % TRANSPORTS.len()];
    // The machine reads no clock: this is only where its virtual time begins.
    let mut now = Instant::now();
    let mut session =
        Session::server(now, Arc::new(config), revision, transport, "a".repeat(20).into());
    let mut closed = false;

    for operation in operations {
        let argument = usize::from(operation >> 4);
        let via = TRANSPORTS[argument % TRANSPORTS.len()];
        match operation & 15 {
            0..=2 => {
                let text = if argument & 8 == 0 { "probe" } else { "" };
                let kind = KINDS[argument % KINDS.len()];
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
            10 => _ = session.handle_input(now, Input::Lost(via, argument & 8 == 0)),
            11 => send(&mut session, argument),
            12 => drain(&mut session, via, argument * 8),
            13 => session.suspend_heartbeat(now, argument & 1 == 0),
            14 if argument > 12 => session.close(now, CloseReason::ForcedClose, argument == 15),
            _ => {
                now += Duration::from_millis(1 << argument);
                session.handle_timeout(now);
            }
        }
        check(&mut session, now, &mut closed);
    }
}

fn send(session: &mut Session, argument: usize) {
    let attachments = (0..argument % (ATTACHMENTS + 1)).map(|_| Bytes::from_static(b"abc"));
    let frames = Frames::new(Frame::text(PacketType::Message, "a"), attachments);
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

fn drain(session: &mut Session, via: Transport, budget: usize) {
    let promised = session.has_transmit(via);
    let given = std::iter::from_fn(|| session.poll_transmit(via, budget)).take(MOST).count();
    assert!(given < MOST, "a session gives frames without end");
    assert_eq!(promised, given > 0, "has_transmit tells what poll_transmit gives");
}

fn check(session: &mut Session, now: Instant, closed: &mut bool) {
    assert!(session.queued_packets() <= MAX_PACKETS);
    assert!(session.poll_timeout().is_none_or(|at| at > now || !session.is_open()));
    while let Some(output) = session.poll_output() {
        assert!(!*closed, "nothing follows the end");
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
    fn pseudo_random_operations_keep_the_promises() {
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
