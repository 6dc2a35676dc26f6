//! Reliable events: events that are kept until the client has acknowledged them.

use engineio_server::internal::is_open;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{AckError, DeliveryError, EmitError},
    namespace::recovery::SessionState,
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
    /// another arrive in that order. Events that are pending at the same time may arrive in another
    /// order when they are sent again. Pending events do not survive the server's process. The
    /// returned future sends the event: once it is dropped, the event is not sent again.
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
        let (Some(log), Some(recoverable)) = (self.0.namespace.recovery_log(), &self.0.recoverable)
        else {
            return Ok(self.emit_with_ack(event, args).await?);
        };
        let share = recoverable.outstanding().admit(bytes.bytes(), log.max_reliable());
        let _share = share.ok_or(DeliveryError::TooMany)?;
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
            // Whatever made the attempt fail, other tasks run before the next one.
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the client has recovered its session. It may then have another socket with the
    /// same id.
    async fn wait_for_return(&self) -> Result<Socket, DeliveryError> {
        let namespace = &self.0.namespace;
        let log = namespace.recovery_log().ok_or(DeliveryError::Expired)?;
        log.wait_for_session(&self.0, |session| match session {
            SessionState::Member(socket)
                if socket.is_connected() && is_open(&socket.client.handle) =>
            {
                Some(Ok(Socket(socket)))
            }
            _ if namespace.0.is_ending() => Some(Err(DeliveryError::Closed)),
            // Its disconnection is about to be handled, or its client is about to be let in.
            SessionState::Member(_) | SessionState::Retained => None,
            SessionState::Gone => Some(Err(DeliveryError::Expired)),
        })
        .await
    }
}
