//! How much a connection may do before others get their turn.

use std::time::Duration;

/// What one turn of a connection may do: one poll of the task that drives it. At the first limit that is reached the
/// task writes what is due and yields to the runtime, which looks after every other connection before it comes back.
///
/// At least one message is handled in each turn, so that none of these is a limit on a message.
///
/// ```
/// use engineio_server::{EngineConfig, TurnLimits};
///
/// let mut turn = TurnLimits::default();
/// turn.messages = 64;
/// let config = EngineConfig::default().turn(turn);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnLimits {
    /// Packets read from a WebSocket, those of the protocol included (default 256).
    pub packets: u32,
    /// Messages handed to the application (default 256). It is also how many decoded messages of a session may wait for
    /// the application, apart from the one that exceeds `bytes`.
    pub messages: u32,
    /// Bytes read from a WebSocket, compressed ones on both ways included (default 128 KiB). The whole length of a
    /// message counts again when it is complete, since it is only then that it is decoded.
    pub bytes: usize,
    /// Bytes that compressed messages have when they are inflated (default 64 KiB).
    pub inflated: usize,
    /// Batches of frames written, of 64 frames or 256 KiB each (default 16).
    pub writes: u32,
    /// Time spent by the application between the first and the last message of the turn (default 1 ms). Looked at after
    /// every fourth message.
    pub time: Duration,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            packets: 256,
            messages: 256,
            bytes: 128 * 1024,
            inflated: 64 * 1024,
            writes: 16,
            time: Duration::from_millis(1),
        }
    }
}
