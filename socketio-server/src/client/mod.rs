//! One connection with all its namespaces: what sockets and handlers share with its driver.

pub(crate) mod ack_room;
pub(crate) mod waiter;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use engineio_server::{
    Handle,
    internal::{settings, wake_driver},
};
use socketio_parser::{AckId, AckRefused, Connection, Nsp};

use crate::{
    client::{
        ack_room::{AckRoom, NoRoom},
        waiter::Waiter,
    },
    config::ServerConfig,
    error::{AckError, EmitError},
    socket::inner::SocketInner,
    stats::Counters,
    sync::{Mutex, MutexGuard, atomic::AtomicU8, lock, step},
    time::now,
};

/// One connection with all its namespaces.
pub(crate) struct Client {
    pub(crate) handle: Handle,
    machine: Mutex<Connection<Waiter>>,
    /// Requests of other tasks to the driver. They are flags and hold no sockets, because there may
    /// be no driver left to take them out.
    requests: AtomicU8,
    /// Events that wait for room in the state machine's table of acks.
    pub(crate) ack_room: AckRoom,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
}

/// Writes the beginning of the session's id, for logs. With the whole id, a reader of the log could
/// impersonate the client.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.handle.sid().get(..6).unwrap_or_default())
    }
}

/// The server has disconnected sockets.
pub(crate) const SOCKETS_LEFT: u8 = 1;
/// All sockets have to be disconnected and the connection closed.
pub(crate) const CLOSE: u8 = 2;
/// The client has returned on another connection, so this one is lost.
pub(crate) const LINE_LOST: u8 = 4;

impl Client {
    pub(crate) fn new(
        handle: Handle,
        machine: Connection<Waiter>,
        config: Arc<ServerConfig>,
        counters: Arc<Counters>,
    ) -> Self {
        let (machine, requests) = (Mutex::new(machine), AtomicU8::new(0));
        Self { handle, machine, requests, ack_room: AckRoom::default(), config, counters }
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Connection<Waiter>> {
        lock(&self.machine)
    }

    /// Requests an action of the driver.
    pub(crate) fn request(&self, action: u8) {
        self.requests.fetch_or(action, Ordering::AcqRel);
        // The driver registers its waker before it reads the requests, so it either sees this one
        // or is woken.
        wake_driver(&self.handle);
    }

    #[inline]
    pub(crate) fn take_requests(&self) -> u8 {
        let requests = self.requests.load(Ordering::Acquire);
        step();
        match requests {
            0 => 0,
            _ => self.requests.swap(0, Ordering::AcqRel),
        }
    }

    /// Registers an ack, whose deadline the driver watches. Must be called before the event is
    /// sent, so that the ack cannot arrive before it is registered.
    pub(crate) fn expect_ack(
        &self,
        nsp: &Nsp,
        id: AckId,
        timeout: Duration,
        waiter: Waiter,
    ) -> Result<(), AckError> {
        // A refused waiter is dropped here, where no lock is held.
        let result = self.try_expect_ack(nsp, id, timeout, waiter);
        result.map_err(|(refused, _waiter)| match refused {
            AckRefused::NotConnected => AckError::Emit(EmitError::Disconnected),
            _ => self.too_many_acks(),
        })
    }

    /// Registers an ack like [`expect_ack`](Self::expect_ack), but waits for room in the table,
    /// behind earlier calls and until the socket is disconnected.
    pub(crate) async fn expect_ack_when_room(
        &self,
        socket: &SocketInner,
        id: AckId,
        timeout: Duration,
        waiter: Waiter,
    ) -> Result<(), AckError> {
        let limit = settings(&self.config.engine).max_queued.packets;
        let began = tokio::time::Instant::now();
        let mut waiter = Some(waiter);
        let attempt = || {
            let left = timeout.saturating_sub(began.elapsed());
            match self.try_expect_ack(socket.namespace.nsp(), id, left, waiter.take()?) {
                Ok(()) => Some(Ok(())),
                Err((AckRefused::TooMany, refused)) => {
                    waiter = Some(refused);
                    None
                }
                Err(_) => Some(Err(AckError::Emit(EmitError::Disconnected))),
            }
        };
        match self.ack_room.wait(limit, timeout, || socket.disconnected(), attempt).await {
            Ok(result) => result,
            Err(NoRoom::Disconnected) => Err(AckError::Emit(EmitError::Disconnected)),
            Err(NoRoom::TimedOut) => Err(AckError::Timeout),
            Err(NoRoom::Full) => Err(self.too_many_acks()),
        }
    }

    fn too_many_acks(&self) -> AckError {
        self.counters.here().acks.refused.one();
        AckError::TooManyPending
    }

    pub(crate) fn try_expect_ack(
        &self,
        nsp: &Nsp,
        id: AckId,
        timeout: Duration,
        waiter: Waiter,
    ) -> Result<(), (AckRefused, Waiter)> {
        let now = now();
        let (result, earlier) = {
            let mut machine = self.machine();
            let before = machine.poll_timeout();
            let result = machine.expect_ack(now, nsp, id, timeout, waiter);
            (result, machine.poll_timeout() != before)
        };
        if earlier {
            wake_driver(&self.handle);
        }
        result.map(|()| self.counters.here().acks.requested.one())
    }

    /// Removes an ack from the table. Returns its recipient, unless the ack has arrived.
    pub(crate) fn forget(&self, nsp: &Nsp, id: AckId) -> Option<Waiter> {
        let waiter = self.machine().forget_ack(nsp, id);
        if waiter.is_some() {
            self.counters.here().acks.abandoned.one();
            self.ack_room.freed();
        }
        waiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Driver;

    /// Each idle client has one value of each type. The guide has a table of them.
    #[test]
    fn the_parts_of_an_idle_client_stay_small() {
        let sizes = [
            ("Client", size_of::<Client>(), 168),
            ("Driver", size_of::<Driver>(), 368),
            ("SocketInner", size_of::<SocketInner>(), 144),
            ("Connection<Waiter>", size_of::<Connection<Waiter>>(), 112),
        ];
        for (name, size, limit) in sizes {
            assert!(size <= limit, "{name} has {size} bytes, {limit} are allowed");
        }
    }
}
