//! A client session and a server session joined in memory. For every interleaving of messages,
//! upgrades, faults and deadlines, no message is lost, repeated or reordered, and both ends close
//! at nearly the same time.

use crate::world;

use std::time::Duration;

use bytes::Bytes;
use engineio_parser::{
    Frame, Frames, PacketType, Revision,
    Transport::{Polling, WebSocket},
    session::{CloseReason, Config, Unsent},
};
use proptest::{prelude::*, sample::select};
use world::{Side, World};

const MAX_PACKETS: usize = 12;
const MAX_ATTACHMENTS: usize = 3;

/// Longer than all deadlines in sequence: a heartbeat, its extension, and the wait of a closing
/// session.
const LONG: Duration = Duration::from_secs(25 + 2 * 20 + 30 + 10);

#[derive(Clone, Debug)]
enum Operation {
    Send { side: Side, attachments: usize, volatile: bool },
    Advance(u64),
    Delay(u64),
    Upgrade,
    Fault(Fault),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    BreakSocket,
    AbortGet,
    Close { side: Side, unsent: Unsent },
    Crash(Side),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::BreakSocket),
        1 => Just(Fault::AbortGet),
        2 => (side(), select(vec![Unsent::Send, Unsent::Discard]))
            .prop_map(|(side, unsent)| Fault::Close { side, unsent }),
        1 => side().prop_map(Fault::Crash),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => (side(), 0..=MAX_ATTACHMENTS, prop::bool::weighted(0.2))
            .prop_map(|(side, attachments, volatile)| Operation::Send { side, attachments, volatile }),
        8 => prop_oneof![4 => 0..60_u64, 2 => 60..200_u64, 1 => 200..40_000_u64]
            .prop_map(Operation::Advance),
        4 => (0..50_u64).prop_map(Operation::Delay),
        4 => Just(Operation::Upgrade),
    ]
}

/// Ordinary operations with up to two faults among them.
fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let some = prop::collection::vec(operation(), 1..40);
    let faults = prop::collection::vec((any::<prop::sample::Index>(), fault()), 0..3);
    (some, faults).prop_map(|(mut operations, faults)| {
        for (index, fault) in faults {
            operations.insert(index.index(operations.len()), Operation::Fault(fault));
        }
        operations
    })
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::V3), Just(Revision::V4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_keeps_the_order_and_ends(
        revision in revision(),
        operations in operations(),
    ) {
        let mut world = new_world(revision);
        let mut closes = Vec::new();
        for (number, operation) in operations.into_iter().enumerate() {
            match operation {
                Operation::Send { side, attachments, volatile } => {
                    world.send(side, run(side, number, attachments), volatile);
                }
                Operation::Advance(millis) => world.advance(Duration::from_millis(millis)),
                Operation::Delay(millis) => world.delay = Duration::from_millis(millis),
                Operation::Upgrade => world.start_upgrade(),
                Operation::Fault(Fault::BreakSocket) => world.break_socket(),
                Operation::Fault(Fault::AbortGet) => world.abort_get(),
                Operation::Fault(Fault::Close { side, unsent }) => {
                    closes.push((side, unsent));
                    world.close(side, unsent);
                }
                Operation::Fault(Fault::Crash(side)) => world.crash(side),
            }
            check(&mut world);
        }
        world.advance(LONG);
        check(&mut world);
        check_end(&mut world, &closes);
    }
}

#[test]
fn an_upgrade_under_load_loses_nothing() {
    for revision in [Revision::V3, Revision::V4] {
        for delay in [0, 1, 7, 50] {
            let mut world = new_world(revision);
            world.delay = Duration::from_millis(delay);
            for number in 0..100 {
                if number == 30 {
                    world.start_upgrade();
                }
                for side in [Side::Client, Side::Server] {
                    world.send(side, run(side, number, number % 3), false);
                }
                world.advance(Duration::from_millis(20));
            }
            world.advance(Duration::from_secs(5));
            assert!(world.client.upgraded && world.server.upgraded);
            check(&mut world);
            check_end(&mut world, &[]);
        }
    }
}

/// The refusal of a POST overtakes the response to the last GET.
#[test]
fn a_refused_post_does_not_discard_the_response_to_the_last_get() {
    let mut world = new_world(Revision::V3);
    world.delay = Duration::from_millis(2);
    world.send(Side::Client, run(Side::Client, 1, 0), false);
    world.delay = Duration::from_millis(26);
    world.send(Side::Server, run(Side::Server, 3, 0), false);
    world.start_upgrade();
    world.start_upgrade();
    world.send(Side::Server, run(Side::Server, 6, 2), false);
    world.close(Side::Server, Unsent::Send);
    for number in 8..13 {
        world.send(Side::Client, run(Side::Client, number, 0), false);
    }
    world.advance(Duration::from_millis(9));
    world.advance(Duration::from_millis(95));
    world.delay = Duration::ZERO;
    world.advance(LONG);
    check_end(&mut world, &[(Side::Server, Unsent::Send)]);
}

#[test]
fn a_client_with_a_close_packet_to_send_starts_no_further_get() {
    let mut world = new_world(Revision::V4);
    world.delay = Duration::from_millis(42);
    world.send(Side::Client, run(Side::Client, 1, 0), false);
    world.close(Side::Client, Unsent::Send);
    world.delay = Duration::ZERO;
    world.abort_get();
    world.advance(LONG);
    assert!(world.server.closed.is_some());
}

#[test]
fn an_upgrade_takes_two_round_trips_and_not_a_ping_interval() {
    let mut world = new_world(Revision::V4);
    world.delay = Duration::from_millis(10);
    world.advance(Duration::from_millis(100));
    world.start_upgrade();
    // Connection opened, 2probe, 3probe, 5. Meanwhile the waiting GET ends.
    world.advance(Duration::from_millis(40));
    assert!(world.client.upgraded && world.server.upgraded);
}

#[test]
fn a_session_ends_by_ping_timeout_after_its_peer_crashed() {
    for revision in [Revision::V3, Revision::V4] {
        for upgrade in [false, true] {
            for side in [Side::Client, Side::Server] {
                let mut world = new_world(revision);
                if upgrade {
                    world.start_upgrade();
                    world.advance(Duration::from_secs(1));
                    assert!(world.server.upgraded);
                }
                world.crash(side);
                world.advance(Duration::from_secs(25 + 20));
                let reason = world.end(side.other()).closed;
                assert_eq!(reason, Some(CloseReason::PingTimeout), "{revision:?} {side:?}");
            }
        }
    }
}

fn new_world(revision: Revision) -> World {
    let mut config = Config::default();
    config.max_queued_packets = MAX_PACKETS;
    World::new(revision, config)
}

fn run(side: Side, number: usize, attachments: usize) -> Frames {
    let text = format!("{side:?} {number}");
    let attachments = (0..attachments).map(|n| Bytes::from(format!("{text}.{n}")));
    Frames::new(Frame::text(PacketType::Message, &text), attachments)
}

fn check(world: &mut World) {
    for side in [Side::Client, Side::Server] {
        let sent = world.end(side).sent.clone();
        let received = &world.end(side.other()).received;
        assert!(sent.starts_with(received), "{received:?} is not a prefix of {sent:?}");
        assert!(world.end(side).session.queued_packets() <= MAX_PACKETS);
    }
}

fn check_end(world: &mut World, closes: &[(Side, Unsent)]) {
    let complete = |world: &mut World, from: Side| {
        let sent = world.end(from).sent.clone();
        assert_eq!(world.end(from.other()).received, sent, "not all messages of {from:?} arrived");
    };
    if world.faulty || closes.len() > 1 {
        let alive = |world: &mut World, side| {
            let end = world.end(side);
            !end.crashed && end.closed.is_none()
        };
        let both = [Side::Client, Side::Server];
        if both
            .map(|side| world.end(side).crashed || world.end(side).closed.is_some())
            .contains(&true)
        {
            assert!(
                !both.map(|side| alive(world, side)).contains(&true),
                "one end outlives the other"
            );
        }
        return;
    }
    match closes {
        [] => {
            for side in [Side::Client, Side::Server] {
                assert!(world.end(side).session.is_open());
                complete(world, side);
            }
            assert_eq!(world.client.upgraded, world.server.upgraded);
            let transport = if world.client.upgraded { WebSocket } else { Polling };
            assert_eq!(world.client.session.transport(), transport);
            assert_eq!(world.server.session.transport(), transport);
        }
        [(side, unsent), ..] => {
            if *unsent == Unsent::Send {
                complete(world, *side);
            }
            assert_eq!(world.end(*side).closed, Some(CloseReason::ForcedClose));
            assert!(world.end(side.other()).closed.is_some());
        }
    }
}
