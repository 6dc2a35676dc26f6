//! Bodies of HTTP/2 responses, and detection of peers that do not read them.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

use crate::sync::{Mutex, MutexGuard, lock};

/// Largest piece passed to the connection at once. This is what it can hold of a body whose stream
/// window is closed.
const PIECE_SIZE: usize = 16 * 1024;

/// A body that is split into small pieces. The connection would take all of a large body as soon as
/// its stream window has room for one byte. The server could then no longer detect that the peer
/// does not read, because a peer closes the window of a stream and not the connection.
pub(super) struct PiecewiseBody<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    id: u64,
    unread: UnreadBodies,
}

/// The bodies of one connection that wait for the peer, with the times since when they wait.
#[derive(Clone, Default)]
pub(super) struct UnreadBodies(Arc<Mutex<WaitingBodies>>);

#[derive(Default)]
struct WaitingBodies {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl<B> PiecewiseBody<B> {
    pub(super) fn new(body: B, unread: UnreadBodies) -> Self {
        let id = {
            let mut waiting = unread.lock();
            let id = waiting.next;
            waiting.next += 1;
            // Older versions of hyper poll the first piece only when the stream window has room for
            // it.
            waiting.since.insert(id, Instant::now());
            id
        };
        Self { body: Box::pin(body), rest: Bytes::new(), id, unread }
    }
}

impl<B: Body<Data = Bytes>> Body for PiecewiseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            // From here on, the connection waits for the body and not for the peer.
            this.unread.lock().since.remove(&this.id);
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_SIZE));
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

impl<B> Drop for PiecewiseBody<B> {
    fn drop(&mut self) {
        self.unread.lock().since.remove(&self.id);
    }
}

impl UnreadBodies {
    /// Resolves when the peer has not taken a piece for `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            // Bodies that start to wait in the meantime expire later than this one.
            let oldest = self.lock().since.values().min().copied().unwrap_or(now);
            if oldest + limit <= now {
                return;
            }
            sleep_until(oldest + limit).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, WaitingBodies> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_counts_as_unread_until_its_next_piece_is_polled() {
        let unread = UnreadBodies::default();
        let limit = Duration::from_secs(30);
        let whole = Bytes::from(vec![7; PIECE_SIZE + 1]);
        let mut body = PiecewiseBody::new(Full::new(whole), unread.clone());
        let start = Instant::now();
        let stalled = tokio::time::timeout(2 * limit, unread.stalled(limit));
        assert!(
            stalled.await.is_ok() && start.elapsed() == limit,
            "the first piece was not polled"
        );

        assert_eq!(body.size_hint().exact(), Some(PIECE_SIZE as u64 + 1));
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((piece.len(), body.size_hint().exact()), (PIECE_SIZE, Some(1)));
        assert!(!body.is_end_stream());

        let start = Instant::now();
        unread.stalled(limit).await;
        assert_eq!(start.elapsed(), limit);

        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(body.is_end_stream());
        drop(body);
        let empty = tokio::time::timeout(10 * limit, unread.stalled(limit));
        assert!(empty.await.is_err(), "a dropped body must not count as unread");
    }
}
