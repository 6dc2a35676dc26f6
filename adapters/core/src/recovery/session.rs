//! A session that can be recovered.

use bytestring::ByteString;

use super::trail::Trail;
use crate::selection::Room;

/// The state of a socket whose connection was lost. `D` is the data of the application.
#[derive(Clone, Debug)]
pub struct Session<D> {
    /// The private id, known only to the client and the server.
    pub pid: ByteString,
    /// The id of the socket.
    pub sid: ByteString,
    /// The rooms it was in, including the one of its own id.
    pub rooms: Vec<Room>,
    /// The data of the application.
    pub data: D,
    /// The events it was sent.
    pub trail: Trail,
}
