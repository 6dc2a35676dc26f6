//! The open requests of long-polling.
//!
//! One request carries packets out (on a server the response to a GET, on a client a POST). The
//! other carries packets in. At most one of each is open.

use std::time::Duration;

/// The longest time that a GET waits during an upgrade.
pub(super) const NOOP_AFTER: Duration = Duration::from_millis(100);

/// How long a client whose POST failed waits for the response to its GET.
pub(super) const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Requests {
    out: Outgoing,
    incoming: bool,
    noop: bool,
}

/// The state of the request that carries packets out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// There is no such request.
    #[default]
    None,
    /// Open. No frame was given to it yet.
    Waiting,
    /// Open. It can carry more frames.
    Filling,
    /// Open. It can only carry the close packet.
    Ending,
    /// Open. It can carry no more frames.
    Full,
    /// Client: the request failed. No other request may follow.
    Failed,
}

impl Requests {
    pub(super) fn out(&self) -> Outgoing {
        self.out
    }

    pub(super) fn set_out(&mut self, out: Outgoing) {
        self.out = out;
        // A pending noop is obsolete: the GET has frames now, has ended, or is a new one.
        self.noop = false;
    }

    /// Ends a waiting GET with a noop, unless a frame is queued before the response.
    pub(super) fn end_with_noop(&mut self) {
        self.noop = self.out == Outgoing::Waiting;
    }

    pub(super) fn cancel_noop(&mut self) {
        self.noop = false;
    }

    pub(super) fn noop_due(&self) -> bool {
        self.noop
    }

    pub(super) fn incoming(&self) -> bool {
        self.incoming
    }

    pub(super) fn set_incoming(&mut self, open: bool) {
        self.incoming = open;
    }

    /// Whether no request is open.
    pub(super) fn is_idle(&self) -> bool {
        self.out == Outgoing::None && !self.incoming
    }
}
