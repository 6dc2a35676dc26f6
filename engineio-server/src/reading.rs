//! How much a connection reads of its client's data.

use engineio_parser::session::{Reading, Session};

use crate::shared::now;

/// The reasons to pause reading, and the value last reported to the session.
#[derive(Debug)]
pub(crate) struct ReadingMode {
    /// Whether the application wants messages.
    pub(crate) wanted: bool,
    /// The buffer for undecoded bytes of a paused transport is full, so its pongs cannot be seen.
    pub(crate) undecoded_full: bool,
    reported: Reading,
}

impl Default for ReadingMode {
    fn default() -> Self {
        Self { wanted: true, undecoded_full: false, reported: Reading::Open }
    }
}

impl ReadingMode {
    /// Returns whether messages are read, according to the value last reported to the session.
    pub(crate) fn is_open(&self) -> bool {
        self.reported == Reading::Open
    }

    /// Returns the last value reported to [`Session::set_reading`].
    pub(crate) fn reported(&self) -> Reading {
        self.reported
    }

    /// Tells the session how much the driver reads, if that has changed.
    pub(crate) fn report(&mut self, session: &mut Session) -> Reading {
        let reading = self.of(session);
        if self.reported != reading {
            self.reported = reading;
            session.set_reading(now(), reading);
        }
        reading
    }

    /// Returns how much the driver reads of the client's data.
    pub(crate) fn of(&self, session: &Session) -> Reading {
        match session.has_room() {
            true if self.wanted => Reading::Open,
            // `Blind` excuses silence, so it requires room: a client that does not read stays
            // `Watched`.
            true if self.undecoded_full => Reading::Blind,
            _ => Reading::Watched,
        }
    }
}
