//! What the cluster may make one node keep.

use std::time::Duration;

/// The limits of one node's part in a cluster, for each namespace. What writes to the bus is not trusted to be well-formed,
/// and peers may fall silent: each of these bounds what that can cost.
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

/// What a message may take once it is decoded, for each byte that one may have on the wire.
const DECODED_PER_BYTE: usize = 30;

impl ClusterLimits {
    /// Bytes of memory that decoding one message may take (default 30 times `max_message_bytes`: 300 000 000). A list of a
    /// million numbers has one byte for each on the wire, and a hundred in memory. A message that would take more is
    /// refused while it is decoded ([`MessageError::TooCostly`](crate::MessageError::TooCostly)), and counted as garbage. The
    /// memory is in use for one message of a connection at a time.
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
        /// Bytes of one message from the bus (default 10 000 000). A larger one is refused before it is decoded. See
        /// [`max_decoded_bytes`](Self::max_decoded_bytes) for what decoding it may take.
        max_message_bytes, get_max_message_bytes: usize;
        /// Nodes that are remembered where peers make themselves known by heartbeats (default 1024). Further ones are
        /// ignored: nothing waits for their answers.
        max_peers, get_max_peers: usize;
        /// Requests of this node that wait for other nodes at the same time (default 1024).
        max_requests, get_max_requests: usize;
        /// Answers that one request keeps: of clients, of nodes, or sockets, and nodes that it counts the clients of (default
        /// 100 000). Further ones are missing.
        max_answers, get_max_answers: usize;
        /// Messages that wait for the adapter to publish them (default 8192). Beyond it, what would be published is refused
        /// to the caller.
        max_queued_messages, get_max_queued_messages: usize;
        /// Bytes of these messages' contents, counted roughly (default 64 000 000).
        max_queued_bytes, get_max_queued_bytes: usize;
        /// Handlers of server-side events from other nodes that run at once (default 256). Further events are dropped.
        max_handlers, get_max_handlers: usize;
        /// How long other nodes may take to answer `fetch_sockets` and `server_side_emit_with_ack` where no timeout is given
        /// (default 5 s, as in Node). Acknowledgements of clients have their own deadline, which this never cuts short.
        request_timeout, get_request_timeout: Duration;
    }
}
