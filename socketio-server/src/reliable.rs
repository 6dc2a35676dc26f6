//! Events that are kept until the client has answered.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{AckError, DeliveryError, EmitError},
    model::Socket,
    recovery::Outstanding,
};

impl Socket {
    /// Sends an event until the client has answered it: where the connection is lost first, it is sent again to the
    /// session when the client has come back ([`connection_state_recovery`]). Resolves with the client's answer, an
    /// ordinary acknowledgement.
    ///
    /// The event is sent *at least once*: an answer that is lost with the connection makes it come again, so what the
    /// client does with it must bear being done twice. Events that are awaited one after the other come in that order;
    /// several at a time may change places when they are sent again. Nothing outlives the server's process. The future
    /// does the work: dropped, the event is not sent again.
    ///
    /// Without recovery this is [`emit_with_ack`](Self::emit_with_ack). At most `max_reliable_packets` events and
    /// `max_reliable_bytes` per socket wait ([`Recovery`](crate::Recovery)).
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
    /// The client did not come back in time, or left by itself; it did not answer in time; too much waits already; or the
    /// event cannot be encoded.
    pub async fn emit_reliably<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, DeliveryError> {
        let parser = self.0.client.config.parser;
        let bytes = parser.encode_event(self.nsp(), None, event, args).map_err(EmitError::from)?;
        let _share = match (&self.0.namespace.0.recorder, &self.0.recoverable) {
            (Some(recorder), Some(recoverable)) => {
                let share = Share::of(&recoverable.outstanding, bytes.bytes());
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
                    socket = self.0.comes_back().await.ok_or(DeliveryError::Expired)?;
                }
                Err(AckError::Emit(EmitError::Full)) => {
                    // Whatever ends the waiting, the next attempt tells.
                    let _ = socket.ready().await;
                }
                result => return Ok(result?),
            }
        }
    }
}

/// One event's part in what waits for a socket's client.
struct Share<'a> {
    outstanding: &'a Outstanding,
    bytes: usize,
    now: (usize, usize),
}

impl<'a> Share<'a> {
    fn of(outstanding: &'a Outstanding, bytes: usize) -> Self {
        let add = |counter: &AtomicUsize, n| counter.fetch_add(n, Ordering::AcqRel) + n;
        let now = (add(&outstanding.packets, 1), add(&outstanding.bytes, bytes));
        Self { outstanding, bytes, now }
    }

    fn within(&self, max: (usize, usize)) -> bool {
        self.now.0 <= max.0 && self.now.1 <= max.1
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.outstanding.packets.fetch_sub(1, Ordering::AcqRel);
        self.outstanding.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
