//! Inputs, outputs and errors of a session.

use thiserror::Error;

use crate::{
    frames::Frames,
    handshake::OpenPacket,
    packet::{Packet, PacketData, Transport},
};

/// The end of the connection that a session represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The server.
    Server,
    /// The client.
    Client,
}

/// How much of the peer's data the shell reads. See
/// [`Session::set_reading`](super::Session::set_reading).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// The shell passes everything that arrives to the session.
    #[default]
    Open,
    /// The shell passes nothing to the session, but reports when something arrives
    /// ([`Session::heard`](super::Session::heard)). Silence ends the session as usual.
    Watched,
    /// The shell cannot see whether something arrives, because its buffer is full. Pings continue,
    /// so that the peer does not give up. The session ends after
    /// [`Config::pause_timeout`](super::Config::pause_timeout).
    Blind,
}

/// An event on the transport, reported by the shell.
///
/// Polling uses two requests at a time: a GET, which the server answers when it has packets, and a
/// POST, which carries the client's packets. The shell of each end reports when they begin and end.
#[derive(Clone, Debug)]
pub enum Input {
    /// A packet arrived on a transport.
    Packet(Transport, Packet),
    /// Bytes that are not a packet arrived on a transport.
    Malformed(Transport),
    /// Server: a GET arrived and waits for packets. Client: a GET is about to be made.
    PollStarted,
    /// Server: the waiting GET is about to be answered with the frames from `poll_transmit`. Report
    /// this before the response leaves, because the client's next GET may follow at once. Client:
    /// the GET was answered and all its packets were reported.
    PollFinished,
    /// The GET failed, or its connection was lost before the response.
    PollAborted,
    /// Server: a POST has begun. Client: a POST is about to be made; `poll_transmit` gives its
    /// packets.
    PushStarted,
    /// Server: the POST was read completely and its packets were reported, or it was refused for
    /// its size. Report this before the response leaves. Client: the POST was answered.
    PushFinished,
    /// Server: the connection of the POST was lost, or the POST has a wrong content type. Client:
    /// the POST failed. The session ends with the response to the client's GET, at most 2 s later,
    /// because that response may still carry messages and the close packet.
    PushAborted,
    /// A second transport for this session is connected. Server: the new connection named this
    /// session's id. Client: the connection for the probe is open.
    ProbeStarted(Transport),
    /// A transport was lost.
    Lost(Transport, Loss),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed the connection in order.
    Closed,
    /// The connection failed.
    Failed,
}

/// The treatment of queued messages when a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The queued messages are sent before the session ends.
    Send,
    /// The queued messages are dropped, and the session ends at once.
    Discard,
}

/// An action for the shell, or news for the application.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Client: the handshake arrived.
    ///
    /// Boxed, because a message is smaller.
    Opened(Box<OpenPacket>),
    /// A message for the application.
    Message(PacketData),
    /// The probe failed. Close its connection. The session goes on, unless `Closed` follows.
    ProbeFailed(Transport),
    /// The session now uses this transport. If a GET still waits, answer it with the noop from
    /// `poll_transmit`. Nothing else remains to be done for polling. On a former message transport,
    /// send the rest of its run, which `poll_transmit` gives. Then a server closes it, and reads it
    /// to its end. A client leaves that to the server. See
    /// [`Session::former_transport`](super::Session::former_transport).
    Upgraded(Transport),
    /// The session is over. This is the last output. Transmit the remaining frames from
    /// `poll_transmit` on the current transport, then close it.
    ///
    /// A polling client keeps its GET open until its last POST is answered. Aborting the GET
    /// earlier would end the server's session before the server has read the POST.
    Closed(CloseReason),
}

/// The reason why a session ended. `Display` gives the same strings as Node.
///
/// ```
/// use engineio_parser::session::CloseReason;
///
/// assert_eq!(CloseReason::PingTimeout.to_string(), "ping timeout");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// "transport error": the connection failed, or the peer broke a rule of the protocol.
    TransportError,
    /// "transport close": the peer closed the session or its connection.
    TransportClose,
    /// "forced close": this end closed the session.
    ForcedClose,
    /// "ping timeout": the peer sent no ping or pong in time.
    PingTimeout,
    /// "parse error": the peer sent bytes that are not a packet.
    ParseError,
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
        })
    }
}

/// The reason why an input was refused. Each variant says whether the session survives. The
/// session's outputs inform the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A GET arrived while another one waits. The session is closed; the waiting GET ends with a
    /// close packet.
    #[error("a second GET while one is pending")]
    ConcurrentPoll,
    /// A POST arrived while another one is being read. The session is closed.
    #[error("a second POST while one is in progress")]
    ConcurrentPush,
    /// The session does not accept polling requests. It was upgraded, or (client) its upgrade has
    /// not succeeded or failed yet. The session is unaffected.
    #[error("the session does not use polling")]
    NotPolling,
    /// The session cannot take this transport. It was upgraded before, has a probe, is closing, or
    /// uses a transport that this one does not replace. The session is unaffected.
    #[error("the session cannot be upgraded")]
    UpgradeRefused,
    /// The session is over.
    #[error("the session is closed")]
    Closed,
}

/// The reason why [`send`](super::Session::send) refused a run of frames. Holds the frames.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// More than half of the queue is full, and the frames would exceed `max_queued_packets` or
    /// `max_queued_bytes`.
    #[error("the session's queue is full")]
    Full(Frames),
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed(Frames),
}

impl SendError {
    /// Returns the refused frames.
    pub fn into_frames(self) -> Frames {
        match self {
            Self::Full(frames) | Self::Closed(frames) => frames,
        }
    }
}
