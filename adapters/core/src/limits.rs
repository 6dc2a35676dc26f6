//! Limits of one node of a cluster.

use std::time::Duration;

/// The limits of one node in a cluster, per namespace. They bound the cost of malformed messages
/// and of silent peers.
///
/// ```
/// use std::time::Duration;
/// use socketio_adapter::ClusterLimits;
///
/// let limits = ClusterLimits::default().max_requests(100).request_timeout(Duration::from_secs(2));
/// assert_eq!(limits.get_request_timeout(), Duration::from_secs(2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClusterLimits {
    max_message_bytes: usize,
    max_decoded_bytes: Option<usize>,
    max_peers: usize,
    max_requests: usize,
    max_answers: usize,
    max_queued_messages: usize,
    max_queued_bytes: usize,
    max_handlers: usize,
    request_timeout: Duration,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 10_000_000,
            max_decoded_bytes: None,
            max_peers: 1024,
            max_requests: 1024,
            max_answers: 100_000,
            max_queued_messages: 8192,
            max_queued_bytes: 64_000_000,
            max_handlers: 256,
            request_timeout: Duration::from_secs(5),
        }
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident, $get:ident: $type:ty;)*) => { $(
        $(#[$doc])*
        pub fn $name(mut self, value: $type) -> Self {
            self.$name = value;
            self
        }

        #[doc = concat!("The value of [`", stringify!($name), "`](Self::", stringify!($name), ").")]
        pub fn $get(&self) -> $type {
            self.$name
        }
    )* };
}

/// Default memory for a decoded message, per byte of `max_message_bytes`.
const DECODED_PER_BYTE: usize = 30;

impl ClusterLimits {
    /// Sets how many bytes of memory decoding one message may take (default 30 times
    /// `max_message_bytes`: 300 000 000). A list of a million numbers takes one byte per number on
    /// the wire and about a hundred in memory. Decoding stops when the limit is exceeded
    /// ([`MessageError::TooCostly`](crate::MessageError::TooCostly)), and the message counts as
    /// garbage. One message of a connection is decoded at a time.
    pub fn max_decoded_bytes(mut self, value: usize) -> Self {
        self.max_decoded_bytes = Some(value);
        self
    }

    /// The value of [`max_decoded_bytes`](Self::max_decoded_bytes).
    pub fn get_max_decoded_bytes(&self) -> usize {
        let derived = self.max_message_bytes.saturating_mul(DECODED_PER_BYTE);
        self.max_decoded_bytes.unwrap_or(derived)
    }

    limits! {
        /// Sets the maximum size of a received message in bytes (default 10 000 000). Larger
        /// messages are refused undecoded. [`max_decoded_bytes`](Self::max_decoded_bytes) limits
        /// the memory that decoding takes.
        max_message_bytes, get_max_message_bytes: usize;
        /// Sets how many peers are remembered, if peers are known by heartbeats (default 1024).
        /// Further peers are ignored, and requests do not wait for them.
        max_peers, get_max_peers: usize;
        /// Sets how many requests of this node may wait for other nodes at the same time (default
        /// 1024).
        max_requests, get_max_requests: usize;
        /// Sets how many replies one request keeps: acks, replies of nodes, sockets, or client
        /// counts of nodes (default 100 000). Further ones are dropped.
        max_answers, get_max_answers: usize;
        /// Sets how many messages may wait to be published (default 8192). When exceeded,
        /// publishing returns an error to the caller.
        max_queued_messages, get_max_queued_messages: usize;
        /// Sets the approximate size of these messages in bytes (default 64 000 000).
        max_queued_bytes, get_max_queued_bytes: usize;
        /// Sets how many handlers of server-side events from other nodes run concurrently (default
        /// 256). Further events are dropped.
        max_handlers, get_max_handlers: usize;
        /// Sets how long other nodes may take to reply to `fetch_sockets` and to
        /// `server_side_emit_with_ack` without a timeout of its own (default 5 s, as in Node). It
        /// does not shorten the deadline of clients' acks.
        request_timeout, get_request_timeout: Duration;
    }
}
