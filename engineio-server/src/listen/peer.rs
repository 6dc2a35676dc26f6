//! What every connection knows besides its bytes.

use std::net::SocketAddr;

use http::Request;
use tokio::sync::watch;

use crate::handshake::{PeerAddr, Secure};

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) secure: bool,
}

impl Peer {
    /// Tells whoever handles the request.
    pub(super) fn mark<B>(self, request: &mut Request<B>) {
        request.extensions_mut().insert(PeerAddr(self.address));
        if self.secure {
            request.extensions_mut().insert(Secure);
        }
    }
}

/// Waits until the listener is stopped. One that is dropped, not stopped, never is.
pub(super) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}
