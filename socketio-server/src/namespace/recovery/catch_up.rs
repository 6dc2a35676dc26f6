//! The catch-up of a returning client, which joins the events from an engine's log with those
//! delivered on this node.

use std::sync::Arc;

use engineio_server::{Frames, Queued};
use socketio_adapter::{NodeId, Offset, recovery::SessionStore};

use crate::namespace::{
    cluster::{InLog, UnloggedEvent},
    recovery::ahead::{Encode, EventsHad},
};

/// The state of a client's catch-up.
#[derive(Default)]
pub(super) enum CatchUp {
    /// The client gets events when they are delivered.
    #[default]
    Live,
    /// The client has not been let in yet. Events for it are held back.
    HeldBack(Box<Backlog>),
    /// The client was sent all events up to `end` when it was let in. `delivered` is set once a
    /// later event was delivered on this node.
    SentUpTo { store: Arc<dyn SessionStore>, end: Offset, delivered: bool },
}

/// The events that a client gets when it is let in.
pub(super) struct Backlog {
    store: Arc<dyn SessionStore>,
    /// The events that the client missed, up to `end`.
    missed: Vec<Frames>,
    end: Offset,
    /// The events delivered on this node since the client became a member of the namespace.
    delivered: Vec<Delivered>,
    /// The size of `missed` and `delivered` together.
    size: Queued,
}

/// An event that was delivered while the client's events were held back.
enum Delivered {
    Logged(Offset, Frames),
    /// Delivered without the log, which may contain it or not.
    Unlogged {
        number: Option<(NodeId, u64)>,
        may_be_logged: bool,
        encode: Encode,
    },
}

impl Backlog {
    pub(super) fn new(store: Arc<dyn SessionStore>, from: Offset) -> Self {
        Self {
            store,
            missed: Vec::new(),
            end: from,
            delivered: Vec::new(),
            size: Queued::default(),
        }
    }

    /// Adds missed events, up to `end` in the log. Returns whether the client's queue still has
    /// room.
    pub(super) fn add_missed(&mut self, missed: Vec<Frames>, end: Offset, max: Queued) -> bool {
        self.end = end;
        missed.into_iter().all(|frames| {
            let fits = self.grow(&frames, max);
            if fits {
                self.missed.push(frames);
            }
            fits
        })
    }

    /// Adds an event to the size. Returns whether the client's queue still has room.
    fn grow(&mut self, frames: &Frames, max: Queued) -> bool {
        self.size.packets += frames.count();
        self.size.bytes += frames.bytes();
        self.fits(max)
    }

    /// Returns whether the client's queue has room for all events and the response to its CONNECT.
    pub(super) fn fits(&self, max: Queued) -> bool {
        self.size.packets < max.packets && self.size.bytes < max.bytes
    }

    /// Adds an event that is delivered without the log. `frames` are the event without an offset.
    pub(super) fn add_unlogged(
        &mut self,
        UnloggedEvent { number, in_log }: UnloggedEvent<'_>,
        frames: &Frames,
        encode: &Encode,
        max: Queued,
    ) {
        if self.grow(frames, max) {
            let number = number.map(|(node, number)| (node.clone(), number));
            let (may_be_logged, encode) = (in_log != InLog::No, encode.clone());
            self.delivered.push(Delivered::Unlogged { number, may_be_logged, encode });
        }
    }

    /// Returns the missed events, then the events after them, and the state of the client once it
    /// was sent all of them. Events that were both missed and delivered are recognized by their
    /// offset or their number, and returned once.
    pub(super) fn finish(self, had: Option<&EventsHad>) -> (Vec<Frames>, Vec<Frames>, CatchUp) {
        let Self { store, missed, mut end, delivered, .. } = self;
        let mut ahead = had.map(|had| had.ahead.clone()).unwrap_or_default();
        let mut later = Vec::new();
        for delivered in delivered {
            match delivered {
                Delivered::Logged(offset, frames) => {
                    if store.is_after(&offset, &end) {
                        end = offset;
                        later.push(frames);
                    }
                }
                Delivered::Unlogged { number: Some((_, number)), .. }
                    if had.is_some_and(|had| had.has_read(number)) => {}
                Delivered::Unlogged { number: Some((node, number)), may_be_logged, encode }
                    if may_be_logged =>
                {
                    ahead.add((&node, number));
                    later.extend(encode(Some(&ahead.offset(&end))));
                }
                Delivered::Unlogged { encode, .. } => later.extend(encode(None)),
            }
        }
        (missed, later, CatchUp::SentUpTo { store, end, delivered: false })
    }
}

impl CatchUp {
    /// Returns whether to queue an event of the log now. Until the client is let in, the event is
    /// held back. Events that the client has already been sent are skipped.
    pub(super) fn is_due(&mut self, offset: &Offset, frames: &Frames, max: Queued) -> bool {
        match self {
            Self::Live | Self::SentUpTo { delivered: true, .. } => true,
            Self::HeldBack(backlog) => {
                if backlog.grow(frames, max) {
                    backlog.delivered.push(Delivered::Logged(offset.clone(), frames.clone()));
                }
                false
            }
            Self::SentUpTo { store, end, delivered } => {
                *delivered = store.is_after(offset, end);
                *delivered
            }
        }
    }

    /// Returns the offset up to which the client was sent the log, if its node has delivered the
    /// log up to `last`.
    pub(super) fn base<'a>(&'a self, last: Option<&'a Offset>) -> Option<&'a Offset> {
        match self {
            Self::SentUpTo { store, end, .. } => {
                last.filter(|last| store.is_after(last, end)).or(Some(end))
            }
            Self::Live | Self::HeldBack(_) => last,
        }
    }

    /// Returns whether the client was sent the event at this offset when it was let in.
    pub(super) fn was_sent(&self, offset: &Offset) -> bool {
        matches!(self, Self::SentUpTo { store, end, .. } if !store.is_after(offset, end))
    }
}
