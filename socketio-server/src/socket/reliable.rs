//! Reliable events: events that are kept until the client has acknowledged them.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{AckError, DeliveryError, EmitError},
    namespace::{delivery::now, recovery::Outstanding},
    socket::Socket,
};

impl Socket {
    /// Sends an event until the client has acknowledged it. If the connection is lost first, the
    /// event is sent again when the client has recovered its session
    /// ([`connection_state_recovery`]). Returns the value of the client's ack, which is an ordinary
    /// acknowledgement.
    ///
    /// The event is delivered *at least once*. If an ack is lost with the connection, the client
    /// gets the event again, so its handler must be idempotent. Events that are awaited one after
    /// another arrive in that order. Events that are pending at the same time may change places
    /// when they are sent again. Pending events do not survive the server's process. The future
    /// does the work: once it is dropped, the event is not sent again.
    ///
    /// A client can recover its session only after it has received an event that requests no ack,
    /// because such an event carries the offset that the client needs. Without recovery this method
    /// is the same as [`emit_with_ack`](Self::emit_with_ack). At most `max_reliable_packets` events
    /// and `max_reliable_bytes` may be pending per socket ([`Recovery`](crate::Recovery)).
    ///
    /// ```
    /// use socketio_server::{DeliveryError, Socket};
    ///
    /// async fn pay_out(socket: &Socket, order: u64) {
    ///     match socket.emit_reliably::<()>("paid", &order).await {
    ///         Ok(()) => println!("{order}: the client has it"),
    ///         Err(DeliveryError::Expired) => println!("{order}: the client never came back"),
    ///         Err(error) => println!("{order}: {error}"),
    ///     }
    /// }
    /// ```
    ///
    /// [`connection_state_recovery`]: crate::ServerConfig::connection_state_recovery
    ///
    /// # Errors
    ///
    /// Returns an error in each of these cases: the client did not return in time, or disconnected
    /// deliberately; no client can return because the server or the namespace was closed; the ack
    /// did not arrive in time; too many events are pending; or the event cannot be encoded.
    pub async fn emit_reliably<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, DeliveryError> {
        let parser = self.0.client.config.parser;
        let bytes = parser.encode_event(self.nsp(), None, event, args).map_err(EmitError::from)?;
        let _share = match (&self.0.namespace.0.recorder, &self.0.recoverable) {
            (Some(recorder), Some(recoverable)) => {
                let share = PendingShare::of(&recoverable.outstanding, bytes.bytes());
                share
                    .within(recorder.max_reliable)
                    .then_some(share)
                    .ok_or(DeliveryError::TooMany)?
            }
            _ => return Ok(self.emit_with_ack(event, args).await?),
        };
        drop(bytes);
        let mut socket = self.clone();
        loop {
            match socket.emit_with_ack(event, args).await {
                Err(AckError::Disconnected | AckError::Emit(EmitError::Disconnected)) => {
                    socket = self.wait_for_return().await?;
                }
                Err(AckError::Emit(EmitError::Full)) => {
                    // The result does not matter: the next attempt reports why the socket is not
                    // ready.
                    let _ = socket.ready().await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Waits until the client has recovered its session. It may then have another socket with the
    /// same id.
    async fn wait_for_return(&self) -> Result<Socket, DeliveryError> {
        let namespace = &self.0.namespace;
        let recorder = namespace.0.recorder.as_ref().ok_or(DeliveryError::Expired)?;
        loop {
            let mut moved = pin!(recorder.moved.notified());
            moved.as_mut().enable();
            let known = {
                let log = recorder.log();
                let member = namespace.hub().get(self.id());
                let kept = self.0.recoverable.as_ref().is_some_and(|it| log.keeps(now(), &it.pid));
                member.ok_or(kept)
            };
            match known {
                Ok(socket) if socket.is_connected() && !socket.client.handle.is_closed() => {
                    return Ok(Socket(socket));
                }
                _ if namespace.0.is_ending() => return Err(DeliveryError::Closed),
                // Its disconnection is about to be handled, or its client is about to be let in.
                Ok(_) | Err(true) => moved.await,
                Err(false) => return Err(DeliveryError::Expired),
            }
        }
    }
}

/// The share of one event in the limits of a socket's pending events.
struct PendingShare<'a> {
    outstanding: &'a Outstanding,
    bytes: usize,
    now: (usize, usize),
}

impl<'a> PendingShare<'a> {
    fn of(outstanding: &'a Outstanding, bytes: usize) -> Self {
        let add = |counter: &AtomicUsize, n| counter.fetch_add(n, Ordering::AcqRel) + n;
        let now = (add(&outstanding.packets, 1), add(&outstanding.bytes, bytes));
        Self { outstanding, bytes, now }
    }

    fn within(&self, max: (usize, usize)) -> bool {
        self.now.0 <= max.0 && self.now.1 <= max.1
    }
}

impl Drop for PendingShare<'_> {
    fn drop(&mut self) {
        self.outstanding.packets.fetch_sub(1, Ordering::AcqRel);
        self.outstanding.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
