//! The interface between a session and a transport that carries single messages.

use std::task::{Context, Poll};

use engineio_parser::{
    Transport,
    session::{Input, Session},
};

use super::error::RequestError;

/// How many bytes are written at once. More frames are taken from the session only after these were
/// written.
pub(super) const BATCH: usize = 64 * 1024;

/// A connection that carries the packets of a session in both directions: a WebSocket or a
/// WebTransport stream.
pub(super) trait MessageTransport: Send {
    /// Returns the name of the transport.
    fn via(&self) -> Transport;

    /// Returns whether a frame sent now is written at once.
    fn is_writable(&self) -> bool;

    /// Returns the bytes of the incomplete message.
    fn buffered(&self) -> usize;

    /// Reads the next packet, or another input of the session.
    ///
    /// # Errors
    ///
    /// The connection has failed. The transport must not be used afterwards.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Input, RequestError>>;

    /// Returns whether data has arrived since the last call.
    fn take_filled(&mut self) -> bool;

    /// Writes the session's frames. Returns whether any was taken.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
    ) -> Result<bool, RequestError>;

    /// Resolves when the server has probably read everything that was written before the first
    /// call. It ignores failures, which other calls report.
    fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Stops waiting for a confirmation. If it arrives later, it confirms nothing.
    fn forget_confirmation(&mut self);

    /// Closes the connection after everything was written. The server's last messages are
    /// discarded.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Returns whether the end of this side was sent.
    fn has_sent_close(&self) -> bool;
}
