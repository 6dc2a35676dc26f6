//! The definition of all counters.

use std::{error::Error as _, io};

use engineio_parser::session::{CloseReason, Traffic};

use super::counting::{Counter, Gauge};
use crate::error::RequestError;

crate::counters! {
    /// Sessions that ended, by reason.
    CloseStats, ClosedCounters {
        /// The connection failed, or the peer violated the protocol.
        transport_error,
        /// The peer closed the session.
        transport_close,
        /// The server closed the session.
        forced_close,
        /// The peer did not reply to a ping in time.
        ping_timeout,
        /// The peer sent a malformed packet.
        parse_error,
    }
}

crate::counters! {
    /// Refused requests, bodies and messages, by reason.
    RefusalStats, RefusedCounters {
        /// Error 0, "Transport unknown".
        unknown_transport,
        /// Error 1, "Session ID unknown".
        unknown_sid,
        /// Error 2, "Bad handshake method".
        bad_handshake_method,
        /// Error 3, "Bad request".
        bad_request,
        /// Error 4, "Forbidden".
        forbidden,
        /// A session beyond `max_unauthenticated_per_address`.
        too_many_sessions,
        /// Error 5, "Unsupported protocol version".
        unsupported_version,
        /// Error 6, "Server shutting down".
        shutting_down,
        /// Error 7: a session beyond `max_sessions`.
        session_limit,
        /// A request during which one of the application's hooks panicked.
        hook_panicked,
        /// A second GET while another one was pending.
        concurrent_poll,
        /// A second POST while another one was being read.
        concurrent_push,
        /// A method other than GET and POST on a session.
        bad_method,
        /// A request over HTTP/3 that opens no WebTransport session (status 421).
        misdirected,
        /// A binary body in revision 4.
        binary_body,
        /// A body or WebSocket message beyond `max_payload`.
        too_large,
        /// A WebSocket message of more frames than `max_fragments`.
        too_many_fragments,
        /// A body that did not arrive completely within `body_timeout`.
        body_timeout,
        /// A body whose connection was lost before its end.
        body_aborted,
        /// A malformed Engine.IO packet.
        malformed_packet,
        /// A WebSocket frame that RFC 6455 forbids, or text that is not UTF-8.
        malformed_frame,
        /// A message to a client whose queue was full (`max_queued_packets`, `max_queued_bytes`).
        queue_full,
    }
}

crate::counters! {
    /// Connections that a listener dropped before or between requests, by reason. Returned by
    /// [`Listening::stats`](crate::Listening::stats).
    DropStats, DroppedCounters {
        /// A request head or a TLS handshake that was not complete within `head_timeout`.
        head_timeout,
        /// A head beyond `max_head_size`, or with too many headers.
        head_too_large,
        /// Data that is not HTTP.
        malformed,
        /// A TLS or QUIC handshake that failed.
        tls_handshake,
        /// A WebTransport session whose first packet was malformed, or did not arrive within
        /// `upgrade_timeout`.
        first_packet,
        /// A response that the client did not read for `write_timeout`.
        write_timeout,
    }
}

/// Defines the sum of the counters of a group.
macro_rules! total {
    ($($snapshot:ident),*) => {
        $(impl $snapshot {
            /// Returns the sum of all counts.
            pub fn total(&self) -> u64 {
                self.entries().map(|(_, count)| count).sum()
            }
        })*
    };
}

total!(CloseStats, RefusalStats, DropStats);

impl DroppedCounters {
    /// Counts a connection that failed in hyper. A connection that was merely lost is not counted.
    pub(crate) fn failed(&self, error: &hyper::Error) {
        let counter = match cause(error) {
            _ if error.is_parse_too_large() => &self.head_too_large,
            _ if error.is_parse() => &self.malformed,
            // The stream reports its own write timeout.
            Some(io::ErrorKind::TimedOut) => &self.write_timeout,
            _ if error.is_timeout() => &self.head_timeout,
            _ => return,
        };
        counter.one();
    }

    /// Counts a connection that failed before the first request.
    #[cfg(any(feature = "http2", feature = "tls"))]
    pub(crate) fn failed_early(&self, error: &io::Error, tls: bool) {
        match error.kind() {
            io::ErrorKind::TimedOut => self.head_timeout.one(),
            _ if tls => self.tls_handshake.one(),
            _ => {}
        }
    }
}

fn cause(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// All counters of an engine.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened: Counter,
    pub(crate) closed: ClosedCounters,
    pub(crate) upgraded: Counter,
    pub(crate) probes_failed: Counter,
    pub(crate) refused: RefusedCounters,
    packets_in: Counter,
    bytes_in: Counter,
    packets_out: Counter,
    bytes_out: Counter,
    /// Sessions report these values when their task waits, and only if they have changed.
    pub(crate) unwritten_bytes: Gauge,
    pub(crate) unread_bytes: Gauge,
}

impl Counters {
    pub(crate) fn closed(&self, reason: CloseReason) {
        let closed = &self.closed;
        match reason {
            CloseReason::TransportClose => closed.transport_close.one(),
            CloseReason::ForcedClose => closed.forced_close.one(),
            CloseReason::PingTimeout => closed.ping_timeout.one(),
            CloseReason::ParseError => closed.parse_error.one(),
            _ => closed.transport_error.one(),
        }
    }

    pub(crate) fn refused(&self, error: RequestError) {
        let refused = &self.refused;
        match error {
            RequestError::UnknownTransport => refused.unknown_transport.one(),
            RequestError::UnknownSid => refused.unknown_sid.one(),
            RequestError::BadHandshakeMethod => refused.bad_handshake_method.one(),
            RequestError::BadRequest => refused.bad_request.one(),
            RequestError::Forbidden => refused.forbidden.one(),
            RequestError::TooManySessions => refused.too_many_sessions.one(),
            RequestError::UnsupportedVersion => refused.unsupported_version.one(),
            RequestError::ShuttingDown => refused.shutting_down.one(),
            RequestError::SessionLimit => refused.session_limit.one(),
        }
    }

    /// Adds the traffic of a session. Sessions count their own traffic. It is added here when they
    /// end and when statistics are read.
    pub(crate) fn add_traffic(&self, traffic: Traffic) {
        self.packets_in.add(traffic.packets_in);
        self.bytes_in.add(traffic.bytes_in);
        self.packets_out.add(traffic.packets_out);
        self.bytes_out.add(traffic.bytes_out);
    }

    pub(super) fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        traffic.packets_in = self.packets_in.get();
        traffic.bytes_in = self.bytes_in.get();
        traffic.packets_out = self.packets_out.get();
        traffic.bytes_out = self.bytes_out.get();
        traffic
    }
}
