//! Cluster methods of the server.

use crate::namespace::cluster::{FetchError, RemoteSocket, ServerEvent};
use crate::{
    error::{EmitError, ServerSideError},
    handlers::{Handler, Registration},
    server::Server,
};
use serde::{Serialize, de::DeserializeOwned};

impl Server {
    /// Fetches the sockets of the main namespace on all nodes. See
    /// [`Broadcast::fetch_sockets`](crate::Broadcast::fetch_sockets).
    ///
    /// # Errors
    ///
    /// See [`FetchError`].
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        self.sockets().fetch_sockets().await
    }

    /// Sends an event to the other servers. See
    /// [`Namespace::server_side_emit`](crate::Namespace::server_side_emit).
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded or the queue to the other nodes is full.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        self.sockets().server_side_emit(event, args)
    }

    /// Sends an event to the other servers and collects their replies. See
    /// [`Namespace::server_side_emit_with_ack`](crate::Namespace::server_side_emit_with_ack).
    ///
    /// # Errors
    ///
    /// See [`ServerSideError`].
    pub async fn server_side_emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, ServerSideError<R>> {
        self.sockets().server_side_emit_with_ack(event, args).await
    }

    /// Adds a handler for an event of other servers. See
    /// [`Namespace::on_server_side`](crate::Namespace::on_server_side).
    pub fn on_server_side<M>(
        &self,
        event: &str,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        self.sockets().on_server_side(event, handler).with_owner(self)
    }

    /// Adds a handler for every event of other servers. See
    /// [`Namespace::on_any_server_side`](crate::Namespace::on_any_server_side).
    pub fn on_any_server_side<M>(
        &self,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        self.sockets().on_any_server_side(handler).with_owner(self)
    }

    /// Removes the handlers of an event of other servers. See
    /// [`Namespace::off_server_side`](crate::Namespace::off_server_side).
    pub fn off_server_side(&self, event: &str) -> &Self {
        self.sockets().off_server_side(event);
        self
    }

    /// Removes the handlers of every event of other servers. See
    /// [`Namespace::off_any_server_side`](crate::Namespace::off_any_server_side).
    pub fn off_any_server_side(&self) -> &Self {
        self.sockets().off_any_server_side();
        self
    }

    /// Waits until all existing namespaces have joined the cluster. See
    /// [`Namespace::joined`](crate::Namespace::joined).
    pub async fn joined(&self) {
        for namespace in self.namespaces() {
            namespace.joined().await;
        }
    }
}
