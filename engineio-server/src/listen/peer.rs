//! Information about the peer of a connection.

use std::net::SocketAddr;

use http::Request;
use tokio::sync::watch;

use crate::handshake::{PeerAddr, Secure};

/// The peer of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) secure: bool,
}

impl Peer {
    /// Adds the information to the extensions of a request.
    pub(super) fn mark<B>(self, request: &mut Request<B>) {
        request.extensions_mut().insert(PeerAddr(self.address));
        if self.secure {
            request.extensions_mut().insert(Secure);
        }
    }
}

/// Waits until the listener is stopped. Never resolves if the [`Listening`](super::Listening) is
/// dropped without being stopped.
pub(super) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}
