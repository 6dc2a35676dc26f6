//! The two requests that long-polling consists of.
//!
//! One carries packets out (the answer to a GET on the server, a POST on the client), the other carries them in. At most
//! one of each is open.

use std::time::Duration;

/// Within this time a GET is answered during an upgrade.
pub(super) const NOOP_AFTER: Duration = Duration::from_millis(100);

/// How long a client whose POST failed waits for the answer of its GET.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Requests {
    out: Outgoing,
    incoming: bool,
    noop: bool,
}

/// The request that carries packets out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// There is none.
    #[default]
    None,
    /// Open, and nothing was given to it yet.
    Waiting,
    /// Open, and more may be given to it.
    Filling,
    /// Open, and takes nothing but the close packet.
    Ending,
    /// Open, and must take nothing more.
    Full,
    /// Client: it failed, so no other follows.
    Failed,
}

impl Requests {
    pub(super) fn out(&self) -> Outgoing {
        self.out
    }

    pub(super) fn set_out(&mut self, out: Outgoing) {
        self.out = out;
        // Whatever the GET has got, or will not get any more, no noop is needed to end it.
        self.noop = false;
    }

    /// Ends a waiting GET with a noop, unless something better turns up before it is answered.
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

    /// Whether no request is open at all.
    pub(super) fn quiet(&self) -> bool {
        self.out == Outgoing::None && !self.incoming
    }
}
