//! One Engine.IO session: the shell around [`engineio_parser::session::Session`].

mod address;
mod config;
mod connector;
mod cookies;
mod error;
mod event;
mod options;
mod proxy;
mod tls;

use std::task::{Context, Poll};

use engineio_parser::{Frames, Transport, session::SendError};

pub(crate) use self::{
    config::EngineConfig,
    event::{Closed, EngineEvent},
};
pub use self::{
    connector::{BoxStream, ByteStream, Connecting, Connector, TcpConnector},
    error::{EngineError, RequestError},
    options::EngineOptions,
    proxy::Proxy,
    tls::Tls,
};

/// An open session. It has no task: whoever holds it polls it. Dropping it closes everything at once.
pub(crate) struct Engine {}

impl Engine {
    /// Opens a session; done when the handshake has arrived. May be dropped at any time. How long it may take is for the
    /// caller to say.
    pub(crate) async fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let _ = config;
        Err(EngineError::Handshake)
    }

    /// Reads, writes, keeps the session alive, upgrades it, and gives the next event. Pending for ever after `Closed`.
    ///
    /// After [`send`](Self::send) and [`close`](Self::close) it has to be polled once more.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<EngineEvent> {
        let _ = cx;
        Poll::Pending
    }

    /// Queues a run of frames.
    ///
    /// # Errors
    ///
    /// Gives the frames back where the queue is full or the session is closing.
    pub(crate) fn send(&mut self, frames: Frames) -> Result<(), SendError> {
        Err(SendError::Closed(frames))
    }

    /// Whether what is sent now leaves at once.
    pub(crate) fn is_writable(&self) -> bool {
        false
    }

    /// Whether at least half of the queue is free, for whoever met [`SendError::Full`].
    pub(crate) fn has_room(&self) -> bool {
        false
    }

    /// Stops reading, or goes on. The server's silence is not held against it meanwhile.
    pub(crate) fn set_reading(&mut self, reading: bool) {
        let _ = reading;
    }

    /// Ends the session: what is queued leaves first, then the goodbye. `Closed` follows.
    pub(crate) fn close(&mut self) {}

    /// The transport in use.
    pub(crate) fn transport(&self) -> Transport {
        Transport::Polling
    }

    /// The session's id.
    pub(crate) fn sid(&self) -> &str {
        ""
    }
}
