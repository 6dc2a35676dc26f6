//! Cluster methods of a namespace.

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{Body, ClusterRequest, Replies, event_args};

use crate::namespace::cluster::{
    remote::{FetchError, RemoteSocket},
    server_side::ServerEvent,
};
use crate::{
    error::{ClusterError, EmitError, ServerSideError},
    handlers::{Handler, Registration, erase},
    namespace::Namespace,
};

impl Namespace {
    /// Fetches the namespace's sockets on all nodes. See
    /// [`Broadcast::fetch_sockets`](crate::Broadcast::fetch_sockets).
    ///
    /// # Errors
    ///
    /// See [`FetchError`].
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        self.broadcast().fetch_sockets().await
    }

    /// Sends an event to the other servers of the cluster, but not to this server and not to
    /// clients. Does nothing without an adapter.
    ///
    /// ```
    /// use socketio_server::{Server, ServerEvent};
    ///
    /// # fn main() -> Result<(), socketio_server::EmitError> {
    /// let io = Server::new();
    /// let cache = io.of("/cache");
    /// cache.on_server_side("forget", |event: ServerEvent| async move {
    ///     let key: String = event.data()?;
    ///     println!("another server has changed {key}");
    ///     Ok(())
    /// });
    /// cache.server_side_emit("forget", &"users/7")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded or the queue to the other nodes is full.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let args = event_args(event, args)?;
        match self.join_cluster() {
            Some(membership) => {
                Ok(membership.publish(Body::ServerSideEmit { args, request: None })?)
            }
            None => Ok(()),
        }
    }

    /// Sends an event to the other servers of the cluster and collects their replies, one per
    /// server, in no particular order. Waits at most for the cluster's `request_timeout` (5 s).
    ///
    /// ```no_run
    /// # async fn run(io: socketio_server::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// let uptimes: Vec<u64> = io.of("/").server_side_emit_with_ack("uptime?", &()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ServerSideError`]. If some nodes do not reply, the error contains the replies so far.
    pub async fn server_side_emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, ServerSideError<R>> {
        let args = event_args(event, args).map_err(EmitError::from)?;
        let Some(membership) = self.join_cluster() else { return Ok(Vec::new()) };
        let request = membership
            .ask(ClusterRequest::ServerSideEmit(args), membership.request_timeout())
            .await;
        let outcome = match request {
            Ok(request) => request.outcome().await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(EmitError::from)?;
        let Replies::Args(replies) = outcome.replies else { return Ok(Vec::new()) };
        let responses: Vec<R> =
            replies.iter().filter_map(|reply| reply.decode_ack().ok()).collect();
        match outcome.missing_nodes + replies.len() - responses.len() {
            0 => Ok(responses),
            missing => Err(ServerSideError::Partial { responses, missing }),
        }
    }

    /// Adds a handler for an event that other servers send with
    /// [`server_side_emit`](Self::server_side_emit) (`io.on(event)` in Node). Each call runs in a
    /// task of its own. The calls start in the order of the events. The handler takes
    /// [`ServerEvent`], or the extractors that it lists. If the sender waits for a reply, it gets
    /// the value that the handler returns.
    ///
    /// ```
    /// use socketio_server::{Data, Server};
    ///
    /// let io = Server::new();
    /// io.on_server_side("add", |Data((a, b)): Data<(u32, u32)>| a + b);
    /// ```
    pub fn on_server_side<M>(
        &self,
        event: &str,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        Registration::in_namespace(self, self.0.server_side.add(Some(event), erase(handler)))
    }

    /// Adds a handler for every event that other servers send. See
    /// [`on_server_side`](Self::on_server_side).
    pub fn on_any_server_side<M>(
        &self,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        Registration::in_namespace(self, self.0.server_side.add(None, erase(handler)))
    }

    /// Removes the handlers of an event of other servers that were added with
    /// [`on_server_side`](Self::on_server_side).
    pub fn off_server_side(&self, event: &str) -> &Self {
        self.0.server_side.remove(event);
        self
    }

    /// Removes the handlers that were added with [`on_any_server_side`](Self::on_any_server_side).
    pub fn off_any_server_side(&self) -> &Self {
        self.0.server_side.remove_any();
        self
    }

    /// Returns the number of nodes in the namespace, including this one, as known to the adapter. 1
    /// without an adapter.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine behind the adapter failed, or if the namespace has not joined
    /// the cluster within `request_timeout` (5 s).
    pub async fn server_count(&self) -> Result<usize, ClusterError> {
        let Some(membership) = self.join_cluster() else { return Ok(1) };
        let counted = tokio::time::timeout(membership.request_timeout(), membership.count()).await;
        counted.map_err(|_| ClusterError::Unreachable)?
    }

    /// Waits until the namespace has joined the cluster and receives what other nodes publish.
    /// Returns at once without an adapter, or after the server was closed.
    pub async fn joined(&self) {
        if let Some(membership) = self.join_cluster() {
            membership.joined().await;
        }
    }
}
