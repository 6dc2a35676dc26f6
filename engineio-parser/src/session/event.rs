//! What goes into a session and what comes out of it.

use thiserror::Error;

use crate::{
    frames::Frames,
    handshake::OpenPacket,
    packet::{Data, Packet, Transport},
};

/// Which end of the connection a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The server.
    Server,
    /// The client.
    Client,
}

/// What happened outside.
///
/// Polling needs two requests at once: a GET that the server answers when it has packets, and POSTs that bring the
/// client's packets. Both ends tell their session when each begins and ends.
#[derive(Clone, Debug)]
pub enum Input {
    /// A packet arrived on a transport.
    Packet(Transport, Packet),
    /// Something that is no packet arrived on a transport.
    Malformed(Transport),
    /// Server: a GET arrived and waits for packets. Client: a GET is about to be made.
    PollStarted,
    /// Server: the waiting GET is being answered with what `poll_transmit` gave; said before the answer leaves, as the
    /// client's next GET may follow at once. Client: the packets of the GET's answer were handed in.
    PollFinished,
    /// The GET failed or went away before it was answered.
    PollAborted,
    /// Server: a POST has begun. Client: a POST is about to be made; `poll_transmit` gives its packets.
    PushStarted,
    /// Server: the POST has been read whole (its packets were handed in) or was refused for its size; said before the
    /// answer leaves. Client: the POST was answered.
    PushFinished,
    /// Server: the POST broke off, or cannot be understood (wrong content type). Client: the POST failed; the session
    /// ends with the answer of its GET, at most 2 s later, since messages and the reason may be in it.
    PushAborted,
    /// A second transport for this session is connected. Server: it named our sid. Client: the probe's connection is
    /// open.
    ProbeStarted(Transport),
    /// A transport is gone: closed in order (`false`) or failed (`true`).
    Lost(Transport, bool),
}

/// What the shell must do or tell.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Client: the handshake arrived.
    Opened(OpenPacket),
    /// A message for the application.
    Message(Data),
    /// The probe did not become the transport: close its connection. The session lives, unless `Closed` follows.
    ProbeFailed(Transport),
    /// The session now uses this transport. Of the former one only a GET that still waits is to be answered: with the
    /// noop that `poll_transmit` gives.
    Upgraded(Transport),
    /// The session is over. Transmit what `poll_transmit` still gives for the current transport, then end it. The last
    /// output. A client that polls leaves its GET open until its last POST was answered: to abort the GET would end the
    /// server's session before it has read that POST.
    Closed(CloseReason),
}

/// Why a session ended. `Display` gives Node's strings.
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
    /// "transport close": the peer closed.
    TransportClose,
    /// "forced close": this end closed.
    ForcedClose,
    /// "ping timeout": the peer was silent for too long.
    PingTimeout,
    /// "parse error": the peer sent something that is no packet.
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

/// Why an input was refused. What became of the session is said at each variant; its outputs tell the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A GET while another one waits. The session is closed; the waiting GET ends with a close packet.
    #[error("a second GET while one is pending")]
    ConcurrentPoll,
    /// A POST while another one is being read. The session is closed.
    #[error("a second POST while one is in progress")]
    ConcurrentPush,
    /// A request for a session that no longer polls, as it was upgraded, or (client) that must not poll until its
    /// upgrade has succeeded or failed. The session is untouched.
    #[error("the session does not use polling")]
    NotPolling,
    /// A second transport for a session that cannot take one: it is being upgraded or was, or is closing. The session
    /// is untouched.
    #[error("the session cannot be upgraded")]
    UpgradeRefused,
    /// The session is over.
    #[error("the session is closed")]
    Closed,
}

/// Why [`send`](super::Session::send) refused a run of frames, which it gives back.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The queue has reached `max_queued_packets` or `max_queued_bytes`.
    #[error("the session's queue is full")]
    Full(Frames),
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed(Frames),
}

impl SendError {
    /// The refused frames.
    pub fn into_frames(self) -> Frames {
        match self {
            Self::Full(frames) | Self::Closed(frames) => frames,
        }
    }
}
