//! The parts of a run, which follow from its seed.

use std::time::Duration;

use socketio_server::Parser;

use crate::random::Random;

/// The bus between the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bus {
    /// There is one node.
    None,
    /// Messages to nodes that cannot be reached are lost.
    PubSub,
    /// Events are in a log, and any node recovers any session.
    Log,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) bus: Bus,
    pub(crate) recovery: bool,
    pub(crate) crash_safe: bool,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    /// The number of alternations of troubles and peace.
    pub(crate) rounds: usize,
    /// The steps of a round.
    pub(crate) steps: usize,
    /// The troubles that occur: one bit each.
    pub(crate) troubles: usize,
    /// The encoding of the packets. It does not follow from the generator of the others.
    pub(crate) parser: Parser,
    /// Whether returning clients pass the middlewares, which delay them. Follows from neither.
    pub(crate) delays_return: bool,
}

impl Plan {
    pub(crate) fn new(random: &mut Random) -> Self {
        let bus = [Bus::None, Bus::PubSub, Bus::Log, Bus::Log][random.below(4)];
        let recovery = bus == Bus::Log || random.chance(60);
        Self {
            nodes: if bus == Bus::None { 1 } else { 1 + random.below(3) },
            clients: 2 + random.below(5),
            bus,
            recovery,
            crash_safe: bus == Bus::Log && random.chance(50),
            ping_interval: random.millis(2_000..8_000),
            ping_timeout: random.millis(2_000..6_000),
            rounds: 1 + random.below(3),
            steps: 20 + random.below(80),
            // Half of the troubles, on average, so that each also occurs alone.
            troubles: random.below(1 << 16) | random.below(1 << 16),
            parser: Parser::Json,
            delays_return: false,
        }
    }
}
