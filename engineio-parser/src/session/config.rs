//! Timings and limits of a session.

use std::time::Duration;

use crate::packet::Transport;

/// Timings and limits of a session. One value serves any number of sessions.
///
/// A client takes the heartbeat's timings from the handshake and ignores those given here.
///
/// ```
/// use engineio_parser::session::Config;
///
/// let mut config = Config::default();
/// config.max_queued_packets = 100;
/// assert_eq!(config.ping_interval.as_secs(), 25);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Time from the handshake, or from the last pong, to the next ping (default 25 s).
    pub ping_interval: Duration,
    /// How long the peer may take to answer a ping (default 20 s).
    pub ping_timeout: Duration,
    /// How long an upgrade may stay unfinished before its probe is dropped (default 10 s). The session lives on.
    pub upgrade_timeout: Duration,
    /// Bytes of one message, advertised as `maxPayload` (default 1 000 000). The shells enforce it, before they buffer.
    pub max_payload: usize,
    /// Packets that may wait to be sent (default 8192, for at most half a MiB of bookkeeping per session).
    pub max_queued_packets: usize,
    /// Payload bytes that may wait to be sent (default 8 MiB; what a broadcast shares is counted for every recipient).
    /// An empty queue accepts any one run of frames.
    pub max_queued_bytes: usize,
    /// Transports that the handshake over polling offers for an upgrade (default WebSocket). As in Node this only
    /// advertises: which transports are served at all is for the shell to say.
    pub upgrades: Vec<Transport>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            max_queued_packets: 8192,
            max_queued_bytes: 8 << 20,
            upgrades: vec![Transport::WebSocket],
        }
    }
}
