//! The body of the fuzz target that drives a session by a sequence of operations.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{CloseReason, Config, Input, Output, Session};
use crate::{
    frame::Frame,
    frames::Frames,
    packet::{Data, Packet, PacketType, Revision, Transport},
};

const HANDSHAKE: &str = r#"{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#;
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

/// Drives a session: the first byte picks revision, transport and role, each further one an operation with its argument.
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
    let server = first & 0x80 == 0;
    let mut session = if server {
        Session::server(now, Arc::new(config), revision, transport, "a".repeat(20).into())
    } else {
        Session::client(now, Arc::new(config), revision, transport)
    };
    let (mut closed, mut due) = (false, 0);

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
            10 => _ = session.handle_input(now, Input::Lost(via, argument & 8 == 0)),
            11 => send(&mut session, argument),
            12 => drain(&mut session, server, via, argument, &mut due),
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

/// Sends a run that says in its text how many attachments follow.
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

/// Takes what there is for a transport: a payload full, one frame, or all. `due` is how many attachments of a run have not
/// left yet.
fn drain(session: &mut Session, server: bool, via: Transport, argument: usize, due: &mut usize) {
    let promised = session.has_transmit(via);
    let most = if via == Transport::Polling || argument >= 8 { MOST } else { 1 };
    let frames: Vec<_> =
        std::iter::from_fn(|| session.poll_transmit(via, argument * 8)).take(most).collect();
    assert!(frames.len() < MOST, "a session gives frames without end");
    if server || via != Transport::Polling {
        assert_eq!(promised, !frames.is_empty(), "has_transmit tells what poll_transmit gives");
    } else {
        assert!(promised || frames.is_empty(), "what is given makes a POST worth while");
    }
    for frame in frames {
        match (frame.kind(), frame.to_packet().data) {
            // What belongs to a transport or ends a session may come at any time.
            (PacketType::Noop | PacketType::Close | PacketType::Upgrade, _) => {}
            (PacketType::Ping | PacketType::Pong, Data::Text(text)) if text == "probe" => {}
            (PacketType::Message, Data::Binary(_)) => {
                assert!(*due > 0, "an attachment alone");
                *due -= 1;
            }
            (kind, data) => {
                assert_eq!(*due, 0, "a run is indivisible");
                if let (PacketType::Message, Data::Text(text)) = (kind, data) {
                    *due = text.parse().unwrap_or_default();
                }
            }
        }
    }
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
