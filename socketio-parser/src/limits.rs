//! Limits on the memory and computation that a peer can cause.

use std::time::Duration;

/// The limits of one connection. Exceeding a limit is an error that names it.
///
/// ```
/// use socketio_parser::Limits;
///
/// let limits = Limits::default().max_attachments(2).max_namespaces(4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    pub(crate) max_attachments: usize,
    pub(crate) max_attachment_bytes: usize,
    pub(crate) max_binaries: usize,
    pub(crate) unfinished_timeout: Duration,
    pub(crate) max_depth: usize,
    pub(crate) max_event_name: usize,
    pub(crate) max_namespace: usize,
    pub(crate) max_namespaces: usize,
    pub(crate) max_pending_acks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            max_binaries: 1024,
            unfinished_timeout: Duration::from_secs(30),
            max_depth: 128,
            max_event_name: 1024,
            max_namespace: 2048,
            max_namespaces: 64,
            max_pending_acks: 1024,
        }
    }
}

impl Limits {
    /// Sets the maximum number of attachments of one packet (default 10, as in Node). A packet that
    /// announces more is refused before any attachment is stored.
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_attachments(4);
    /// ```
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.max_attachments = count;
        self
    }

    /// Sets the maximum size of all attachments of one packet together, in bytes (default 10 000
    /// 000: ten messages of the default `maxPayload`). One connection can make this side store this
    /// much while its packet is incomplete. An attachment that several placeholders name counts
    /// once per placeholder, because msgpack and the cluster's messages repeat its bytes.
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_attachment_bytes(100_000);
    /// ```
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.max_attachment_bytes = bytes;
        self
    }

    /// Sets the maximum number of binary values in one msgpack packet, which contains them without
    /// announcing them (default 1024; Node has no limit). Each value takes at least two bytes on
    /// the wire, and in memory about 70 bytes in addition to its data.
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_binaries(16);
    /// ```
    pub fn max_binaries(mut self, count: usize) -> Self {
        self.max_binaries = count;
        self
    }

    /// Sets how long the attachments of a packet may take to arrive after its header (default 30
    /// s).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().unfinished_timeout(Duration::from_secs(5));
    /// ```
    pub fn unfinished_timeout(mut self, timeout: Duration) -> Self {
        self.unfinished_timeout = timeout;
        self
    }

    /// Sets the depth of nested arrays and objects at which JSON is refused, including the argument
    /// list (default 128, which is also the maximum, because `serde_json` refuses deeper values).
    /// The check does not recurse.
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_depth(16);
    /// ```
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth.min(128);
        self
    }

    /// Sets the maximum length of an event's name in bytes (default 1024).
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_event_name(64);
    /// ```
    pub fn max_event_name(mut self, bytes: usize) -> Self {
        self.max_event_name = bytes;
        self
    }

    /// Sets the maximum length of a namespace's name in bytes (default 2048, because the query of a
    /// Socket.IO v2 client is part of it).
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_namespace(64);
    /// ```
    pub fn max_namespace(mut self, bytes: usize) -> Self {
        self.max_namespace = bytes;
        self
    }

    /// Sets the maximum number of namespaces of one connection, including those that wait for a
    /// response (default 64).
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_namespaces(8);
    /// ```
    pub fn max_namespaces(mut self, count: usize) -> Self {
        self.max_namespaces = count;
        self
    }

    /// Sets the maximum number of acks that one connection may await, over all namespaces (default
    /// 1024).
    ///
    /// ```
    /// use socketio_parser::Limits;
    ///
    /// let limits = Limits::default().max_pending_acks(100);
    /// ```
    pub fn max_pending_acks(mut self, count: usize) -> Self {
        self.max_pending_acks = count;
        self
    }
}
