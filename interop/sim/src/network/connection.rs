//! A connection in memory: two directions with latency, a window and a bandwidth, which can be cut,
//! silenced and stalled.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::random::Random;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// How a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Both ends get an error.
    Cut,
    /// No end learns of it, and no byte arrives any more.
    Silence,
    /// One end gets an error, and the other learns nothing.
    HalfOpen(Side),
}

/// The qualities of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Quality {
    pub(crate) latency: Duration,
    /// Bytes per second.
    pub(crate) bandwidth: u64,
    /// The number of bytes on their way before a writer has to wait.
    pub(crate) window: usize,
    /// The failure of the connection after a number of bytes in both directions.
    pub(crate) fails_after: Option<(usize, Failure)>,
}

#[derive(Debug)]
struct Direction {
    chunks: VecDeque<(Instant, Bytes)>,
    queued: usize,
    /// The arrival of the last byte so far.
    last: Instant,
    /// The arrival of the end of the stream.
    end: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    quality: Quality,
    random: Random,
    carried: usize,
    /// Towards the client, and towards the server.
    directions: [Direction; 2],
    reset: [bool; 2],
    dropped: [bool; 2],
    silent: bool,
    stalled_until: Instant,
}

impl Connection {
    /// Creates a connection. Returns the ends of the client and of the server.
    pub(crate) fn ends(quality: Quality, random: Random) -> (Arc<Mutex<Self>>, End, End) {
        let now = Instant::now();
        let direction = || Direction {
            chunks: VecDeque::new(),
            queued: 0,
            last: now,
            end: None,
            reader: None,
            writer: None,
        };
        let connection = Arc::new(Mutex::new(Self {
            quality,
            random,
            carried: 0,
            directions: [direction(), direction()],
            reset: [false; 2],
            dropped: [false; 2],
            silent: false,
            stalled_until: now,
        }));
        let end = |side| End { connection: connection.clone(), side, timer: None };
        let (client, server) = (end(Side::Client), end(Side::Server));
        (connection, client, server)
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Cut => self.reset = [true; 2],
            Failure::Silence => self.silent = true,
            Failure::HalfOpen(side) => {
                self.silent = true;
                self.reset[side as usize] = true;
            }
        }
        self.wake();
    }

    /// Delays all bytes, also those on their way.
    pub(crate) fn stall(&mut self, until: Instant) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Keeps the connection from failing by itself.
    pub(crate) fn remove_failure(&mut self) {
        self.quality.fails_after = None;
    }

    /// Whether both ends exist and learn of each other.
    pub(crate) fn is_alive(&self) -> bool {
        !self.silent && self.reset == [false; 2] && self.dropped == [false; 2]
    }

    fn wake(&mut self) {
        for direction in &mut self.directions {
            let wakers = [direction.reader.take(), direction.writer.take()];
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    connection: Arc<Mutex<Connection>>,
    side: Side,
    timer: Option<Pin<Box<Sleep>>>,
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let due = {
                let mut connection = lock(&this.connection);
                if connection.reset[this.side as usize] {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                let (now, stalled, silent) =
                    (Instant::now(), connection.stalled_until, connection.silent);
                let direction = &mut connection.directions[this.side as usize];
                let due = match (direction.chunks.front(), direction.end) {
                    _ if silent => None,
                    (Some((at, _)), _) => Some(stalled.max(*at)),
                    (None, end) => end.map(|end| stalled.max(end)),
                };
                match due {
                    Some(due) if due <= now => {
                        let Some((_, chunk)) = direction.chunks.front_mut() else {
                            return Poll::Ready(Ok(()));
                        };
                        let count = chunk.len().min(buffer.remaining());
                        buffer.put_slice(&chunk[..count]);
                        chunk.advance(count);
                        if chunk.is_empty() {
                            direction.chunks.pop_front();
                        }
                        direction.queued -= count;
                        direction.writer.take().into_iter().for_each(Waker::wake);
                        return Poll::Ready(Ok(()));
                    }
                    due => {
                        direction.reader = Some(cx.waker().clone());
                        due
                    }
                }
            };
            let Some(due) = due else { return Poll::Pending };
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut connection = lock(&self.connection);
        let connection = &mut *connection;
        let to = 1 - self.side as usize;
        if connection.reset[self.side as usize] || (connection.dropped[to] && !connection.silent) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Quality { latency, bandwidth, window, fails_after } = connection.quality;
        let direction = &mut connection.directions[to];
        let room = window.saturating_sub(direction.queued);
        if room == 0 && !data.is_empty() {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // Also splits what a writer meant as one piece.
        let count = data.len().min(room).min(1 + connection.random.below(4096));
        let travel = Duration::from_micros(count as u64 * 1_000_000 / bandwidth);
        direction.last = direction.last.max(Instant::now() + latency) + travel;
        let chunk = Bytes::copy_from_slice(data.get(..count).unwrap_or_default());
        direction.chunks.push_back((direction.last, chunk));
        direction.queued += count;
        direction.reader.take().into_iter().for_each(Waker::wake);
        connection.carried += count;
        if let Some((limit, failure)) = fails_after
            && connection.carried >= limit
        {
            connection.quality.fails_after = None;
            connection.fail(failure);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut connection = lock(&self.connection);
        let end = Instant::now() + connection.quality.latency;
        let direction = &mut connection.directions[1 - self.side as usize];
        direction.end.get_or_insert(end.max(direction.last));
        direction.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut connection = lock(&self.connection);
        let end = Instant::now() + connection.quality.latency;
        connection.dropped[self.side as usize] = true;
        let direction = &mut connection.directions[1 - self.side as usize];
        direction.end.get_or_insert(end.max(direction.last));
        connection.wake();
    }
}
