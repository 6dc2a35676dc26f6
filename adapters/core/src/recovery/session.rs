//! A session that waits for its client.

use bytestring::ByteString;

use super::trail::Trail;
use crate::selection::Room;

/// What is kept of a socket whose connection was lost. `D` is what the application keeps with it.
#[derive(Clone, Debug)]
pub struct Session<D> {
    /// The private id, which only the client knows.
    pub pid: ByteString,
    /// The socket's id.
    pub sid: ByteString,
    /// The rooms it was in, that of its own id included.
    pub rooms: Vec<Room>,
    /// What the application kept with it.
    pub data: D,
    /// What it was given.
    pub trail: Trail,
}
