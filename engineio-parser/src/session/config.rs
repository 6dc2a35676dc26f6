//! Timings and limits of a session.

use std::time::Duration;

use crate::packet::Transport;

/// Timings and limits of a session. One value serves any number of sessions.
///
/// The heartbeat timings configure servers only. A client takes them from the handshake.
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
    /// How long a session without information about its peer stays open ([`Reading::Blind`],
    /// default 10 min). Then it ends with "ping timeout".
    ///
    /// [`Reading::Blind`]: super::Reading::Blind
    pub pause_timeout: Duration,
    /// How long an upgrade may stay unfinished before its probe is dropped (default 10 s). The
    /// session lives on. Also how long a WebSocket that WebTransport replaces may take to end. Then
    /// the session ends with "transport error". Also how long a client that has closed an answered
    /// probe may make no request. Then the session ends with "transport close".
    pub upgrade_timeout: Duration,
    /// Largest message in bytes, advertised as `maxPayload` (default 1 000 000). The session does
    /// not enforce it. The shell must do so before it buffers a message.
    pub max_payload: usize,
    /// Packets that may wait to be sent (default 8192). Their bookkeeping takes at most half a MiB
    /// per session.
    pub max_queued_packets: usize,
    /// Payload bytes that may wait to be sent (default 8 MiB). The data of a broadcast counts for
    /// every recipient, although recipients share it. A queue of which at least half is free
    /// accepts one run of frames of any size.
    pub max_queued_bytes: usize,
    /// Transports that the handshake over polling offers for an upgrade (default: WebSocket). As in
    /// Node, the list is only advertised; the shell decides which transports it serves.
    pub upgrades: Vec<Transport>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            pause_timeout: Duration::from_secs(600),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            max_queued_packets: 8192,
            max_queued_bytes: 8 << 20,
            upgrades: vec![Transport::WebSocket],
        }
    }
}
