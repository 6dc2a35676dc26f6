//! Bodies of HTTP/2 responses, and which of them the peer does not take.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// Bytes handed to the connection at once: what it can hold of a body whose stream has no room.
const PIECE: usize = 16 * 1024;

/// A body in small pieces. Of a large one the connection would take everything as soon as there is room for a byte, and
/// nobody could tell any more whether the peer reads it: it keeps the stream's window closed, not the connection.
pub(super) struct Pieces<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    id: u64,
    unread: Unread,
}

/// The bodies of one connection that wait for their peer, and since when.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl<B> Pieces<B> {
    pub(super) fn new(body: B, unread: Unread) -> Self {
        let id = {
            let mut waiting = unread.lock();
            let id = waiting.next;
            waiting.next += 1;
            // Older versions of hyper do not ask for the first piece before the stream has room for it.
            waiting.since.insert(id, Instant::now());
            id
        };
        Self { body: Box::pin(body), rest: Bytes::new(), id, unread }
    }
}

impl<B: Body<Data = Bytes>> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            // It is the body that is waited for, if anything.
            this.unread.lock().since.remove(&this.id);
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        this.unread.lock().since.insert(this.id, Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl<B> Drop for Pieces<B> {
    fn drop(&mut self) {
        self.unread.lock().since.remove(&self.id);
    }
}

impl Unread {
    /// Ends when the peer has not taken a piece for `patience`.
    pub(super) async fn for_longer_than(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            // Those that begin to wait meanwhile are not late before this one is.
            let oldest = self.lock().since.values().min().copied().unwrap_or(now);
            if oldest + patience <= now {
                return;
            }
            sleep_until(oldest + patience).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_is_waited_for_while_its_next_piece_is_not_asked_for() {
        let unread = Unread::default();
        let patience = Duration::from_secs(30);
        let whole = Bytes::from(vec![7; PIECE + 1]);
        let mut body = Pieces::new(Full::new(whole), unread.clone());
        let start = Instant::now();
        let unasked = tokio::time::timeout(2 * patience, unread.for_longer_than(patience));
        assert!(unasked.await.is_ok() && start.elapsed() == patience, "nor its first one");

        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((piece.len(), body.size_hint().exact()), (PIECE, Some(1)));
        assert!(!body.is_end_stream());

        let start = Instant::now();
        unread.for_longer_than(patience).await;
        assert_eq!(start.elapsed(), patience);

        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(body.is_end_stream());
        drop(body);
        let empty = tokio::time::timeout(10 * patience, unread.for_longer_than(patience));
        assert!(empty.await.is_err(), "nothing is waited for");
    }
}
