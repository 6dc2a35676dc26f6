//! Limits on the work of one connection, so that others are not delayed.

use std::time::Duration;

/// The work that a connection may do in one turn, that is, one poll of its task. When a limit is
/// reached, the task writes what is due and yields to the runtime, so that all other connections
/// are served before it continues.
///
/// Every turn processes at least one message, so none of these limits the size of a message. The
/// minimum of each limit is 1, and of `writes` 2. A smaller value counts as the minimum. However
/// short `time` is, four messages are handled, because the clock is read after every fourth
/// message.
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
    /// Packets read from a WebSocket, including those of the protocol (default 256).
    pub packets: u32,
    /// Messages passed to the application (default 256). This is also the number of decoded
    /// messages of a session that may wait for the application, not counting the one that exceeds
    /// `bytes`.
    pub messages: u32,
    /// Bytes read from a WebSocket, or compressed for it (default 256 KiB). The full length of a
    /// message counts again when it is complete, because it is decoded only then.
    pub bytes: usize,
    /// Size of decompressed messages in bytes (default 64 KiB).
    pub inflated: usize,
    /// Batches of frames written, with 64 frames or 256 KiB each (default 16).
    pub writes: u32,
    /// Time spent by the application between the first and the last message of the turn (default 1
    /// ms). Checked after every fourth message.
    pub time: Duration,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            packets: 256,
            messages: 256,
            bytes: 256 * 1024,
            inflated: 64 * 1024,
            writes: 16,
            time: Duration::from_millis(1),
        }
    }
}
