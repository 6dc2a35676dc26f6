//! The request of a manager's or a socket's handles.

/// The request of the handles to the connection's task. A manager's request concerns the
/// connection, a socket's request its namespace. The task reads the current request, not a queue of
/// commands.
///
/// ```text
///          open                close              open
///   None ────────► Open ──────────────────► Close ────────► Reopen
///    ▲              │ ▲                       │               │
///    │   withdraw   │ └───────────────────────┼─ take_close ──┘
///    ├──────────────┘                         │
///    └───────────────────────── take_close ───┘
/// ```
///
/// `close` leads from each state to `Close`, and `withdraw` from `Reopen` to `Close`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing is requested.
    #[default]
    None,
    /// Open, and stay open.
    Open,
    /// Close. The task has not done so yet.
    Close,
    /// Close, then open again.
    Reopen,
}

impl Request {
    /// Requests to open, after a pending close.
    pub(crate) fn open(&mut self) {
        *self = match self {
            Self::None | Self::Open => Self::Open,
            Self::Close | Self::Reopen => Self::Reopen,
        };
    }

    /// Requests to close.
    pub(crate) fn close(&mut self) {
        *self = Self::Close;
    }

    /// Drops the request to open. A pending close remains.
    pub(crate) fn withdraw(&mut self) {
        *self = if self.is_closing() { Self::Close } else { Self::None };
    }

    /// Takes the request to close. Returns whether there was one.
    pub(crate) fn take_close(&mut self) -> bool {
        let closing = self.is_closing();
        if closing {
            *self = if self.is_open() { Self::Open } else { Self::None };
        }
        closing
    }

    /// Returns whether it should be open, now or after a close.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Reopen)
    }

    /// Returns whether a close is pending.
    pub(crate) fn is_closing(self) -> bool {
        matches!(self, Self::Close | Self::Reopen)
    }
}

#[cfg(test)]
mod tests {
    use super::Request::{self, Close, None, Open, Reopen};

    fn after(request: Request, change: fn(&mut Request)) -> Request {
        let mut changed = request;
        change(&mut changed);
        changed
    }

    #[test]
    fn a_close_is_pending_until_it_is_taken() {
        for (from, opened, closed, withdrawn) in [
            (None, Open, Close, None),
            (Open, Open, Close, None),
            (Close, Reopen, Close, Close),
            (Reopen, Reopen, Close, Close),
        ] {
            assert_eq!(after(from, Request::open), opened, "{from:?}");
            assert_eq!(after(from, Request::close), closed, "{from:?}");
            assert_eq!(after(from, Request::withdraw), withdrawn, "{from:?}");
        }
        for (from, taken, then) in
            [(None, false, None), (Open, false, Open), (Close, true, None), (Reopen, true, Open)]
        {
            let mut request = from;
            assert_eq!((request.take_close(), request), (taken, then), "{from:?}");
        }
    }
}
