//! Limits of one node of a cluster.

use std::time::Duration;

use crate::{error::MessageError, internal::bounded_timeout};

/// The limits of one node in a cluster, per namespace. They bound the cost of malformed messages
/// and of nodes that do not reply.
///
/// The fields are for reading; each method of the same name sets one.
///
/// ```
/// use std::time::Duration;
/// use socketio_adapter::ClusterLimits;
///
/// let limits = ClusterLimits::default().max_requests(100).request_timeout(Duration::from_secs(2));
/// assert_eq!(limits.request_timeout, Duration::from_secs(2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ClusterLimits {
    /// Set by [`max_message_bytes`](Self::max_message_bytes()).
    pub max_message_bytes: usize,
    /// Set by [`max_decoded_bytes`](Self::max_decoded_bytes()). `None`: 30 times
    /// `max_message_bytes`.
    pub max_decoded_bytes: Option<usize>,
    /// Set by [`max_peers`](Self::max_peers()).
    pub max_peers: usize,
    /// Set by [`max_requests`](Self::max_requests()).
    pub max_requests: usize,
    /// Set by [`max_replies`](Self::max_replies()).
    pub max_replies: usize,
    /// Set by [`max_queued_messages`](Self::max_queued_messages()).
    pub max_queued_messages: usize,
    /// Set by [`max_queued_bytes`](Self::max_queued_bytes()).
    pub max_queued_bytes: usize,
    /// Set by [`max_handlers`](Self::max_handlers()).
    pub max_handlers: usize,
    /// Set by [`request_timeout`](Self::request_timeout()).
    pub request_timeout: Duration,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 10_000_000,
            max_decoded_bytes: None,
            max_peers: 1024,
            max_requests: 1024,
            max_replies: 100_000,
            max_queued_messages: 8192,
            max_queued_bytes: 64_000_000,
            max_handlers: 256,
            request_timeout: Duration::from_secs(5),
        }
    }
}

impl ClusterLimits {
    /// Sets the maximum size of an encoded message in bytes (default 10 000 000). Larger messages are
    /// not published, and are refused undecoded if another node publishes them. Larger sessions are
    /// not stored. [`max_decoded_bytes`](Self::max_decoded_bytes()) limits the memory that decoding
    /// takes.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_message_bytes(1_000_000);
    /// ```
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Checks the size of an encoded message in bytes.
    ///
    /// # Errors
    ///
    /// Returns [`MessageError::TooLarge`] if it exceeds `max_message_bytes`.
    pub fn check_size(&self, bytes: usize) -> Result<(), MessageError> {
        let limit = self.max_message_bytes;
        if bytes > limit { Err(MessageError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Sets how many bytes of memory decoding one message may take (default 30 times
    /// `max_message_bytes`: 300 000 000). A list of a million numbers takes one byte per number on
    /// the wire and about a hundred in memory. Decoding stops when the limit is exceeded
    /// ([`MessageError::TooCostly`](crate::MessageError::TooCostly)), and the message counts as
    /// garbage. One message of a connection is decoded at a time.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_decoded_bytes(50_000_000);
    /// ```
    pub fn max_decoded_bytes(mut self, bytes: usize) -> Self {
        self.max_decoded_bytes = Some(bytes);
        self
    }

    /// Sets how many peers are remembered, if peers are known by heartbeats (default 1024).
    /// Further peers are ignored, and requests do not wait for them.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_peers(64);
    /// ```
    pub fn max_peers(mut self, count: usize) -> Self {
        self.max_peers = count;
        self
    }

    /// Sets how many requests of this node may wait for other nodes at the same time (default
    /// 1024).
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_requests(100);
    /// ```
    pub fn max_requests(mut self, count: usize) -> Self {
        self.max_requests = count;
        self
    }

    /// Sets how many replies one request keeps: acks, replies of nodes, sockets, or client counts
    /// of nodes (default 100 000). Further replies are dropped.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_replies(10_000);
    /// ```
    pub fn max_replies(mut self, count: usize) -> Self {
        self.max_replies = count;
        self
    }

    /// Sets how many messages may wait to be published (default 8192). At the limit, `emit` and the
    /// other calls that publish return an error (`ClusterError::QueueFull` in the server).
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_queued_messages(1000);
    /// ```
    pub fn max_queued_messages(mut self, count: usize) -> Self {
        self.max_queued_messages = count;
        self
    }

    /// Sets the approximate size in bytes of the messages that may wait to be published (default
    /// 64 000 000). If the engine keeps a log, a node also remembers at most as many bytes of its
    /// events that the log has accepted and not returned yet.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_queued_bytes(16_000_000);
    /// ```
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Sets how many handlers of server-side events from other nodes run concurrently (default
    /// 256). Further events are dropped.
    ///
    /// ```
    /// let limits = socketio_adapter::ClusterLimits::default().max_handlers(32);
    /// ```
    pub fn max_handlers(mut self, count: usize) -> Self {
        self.max_handlers = count;
        self
    }

    /// Sets how long other nodes may take to reply to `fetch_sockets` and to
    /// `server_side_emit_with_ack` without a timeout of its own (default 5 s, as in Node; at
    /// least 1 ms). It does not shorten the deadline of clients' acks.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limits = socketio_adapter::ClusterLimits::default().request_timeout(Duration::from_secs(1));
    /// ```
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = bounded_timeout(timeout);
        self
    }

    /// Returns how many bytes of memory decoding one message may take.
    pub(crate) fn decoded_bytes(&self) -> usize {
        /// Default memory for a decoded message, per byte of `max_message_bytes`.
        const DECODED_PER_BYTE: usize = 30;
        let derived = self.max_message_bytes.saturating_mul(DECODED_PER_BYTE);
        self.max_decoded_bytes.unwrap_or(derived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_counts_as_a_millisecond() {
        let timeout = |timeout| ClusterLimits::default().request_timeout(timeout).request_timeout;
        assert_eq!(timeout(Duration::ZERO), Duration::from_millis(1));
        assert!(std::time::Instant::now().checked_add(3 * timeout(Duration::MAX)).is_some());
    }

    #[test]
    fn a_message_may_take_thirty_times_its_size_in_memory() {
        assert_eq!(ClusterLimits::default().decoded_bytes(), 300_000_000);
    }
}
