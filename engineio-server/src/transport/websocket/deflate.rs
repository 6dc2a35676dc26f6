//! Compression of outgoing messages and decompression of incoming ones (RFC 7692 section 7.2), with
//! zlib streams.
//!
//! A connection owns a context only if it keeps the context between messages. Otherwise each thread
//! has one context for each direction, which its connections share.

use std::cell::RefCell;

use bytes::Bytes;
use engineio_parser::{
    Frame, Revision, WebSocketError,
    frame::WireFrame,
    internal::compressed,
    websocket::{self, BINARY, COMPRESSED, TEXT},
};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::read::ReadError;
pub(crate) use crate::per_message_deflate::Parameters;

/// The bytes at the end of a sync flush. They are not sent.
const SYNC_FLUSH_TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// Space for the longest header of a server.
const HEADROOM: usize = 10;

/// Maximum number of final blocks in a message. Some peers end each piece with one. Decoding a
/// message of only final blocks would be slow.
const MAX_FINAL_BLOCKS: u32 = 1024;

thread_local! {
    /// Only one context: a client that asks for another window pays with its own time.
    static COMPRESS: RefCell<Option<(u8, u32, Compress)>> = const { RefCell::new(None) };
    static DECOMPRESS: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// The compressor of one connection.
#[derive(Debug)]
pub(crate) struct Deflate {
    parameters: Parameters,
    /// The context that is kept between messages.
    context: Option<Compress>,
}

impl Deflate {
    pub(crate) fn new(parameters: Parameters) -> Self {
        Self { parameters, context: None }
    }

    /// Returns the compressed frame, or `None` if it should be sent uncompressed.
    pub(crate) fn compress(
        &mut self,
        frame: &Frame,
        revision: Revision,
        b64: bool,
    ) -> Option<WireFrame> {
        if !frame.may_compress() || frame.len() < self.parameters.threshold {
            return None;
        }
        let compressed = match frame.is_binary() {
            true if b64 => self.encode(TEXT, &[&frame.polling_text(revision)]),
            true if revision == Revision::V3 => self.encode(BINARY, &[&[4], &frame.payload()]),
            binary => {
                let first = if binary { BINARY } else { TEXT };
                let payload = frame.payload();
                if self.parameters.server_takeover {
                    self.encode(first, &[&payload])
                } else {
                    let bits = self.parameters.server_bits;
                    compressed(frame, bits, || self.encode(first, &[&payload]))
                }
            }
        };
        compressed.map(WireFrame::raw)
    }

    fn encode(&mut self, first: u8, parts: &[&[u8]]) -> Option<Bytes> {
        let Parameters { server_bits, level, server_takeover, .. } = self.parameters;
        if server_takeover {
            // Sent whatever its size, because the next message refers to it.
            let context = self.context.get_or_insert_with(|| compressor(server_bits, level));
            return encode(context, first, parts);
        }
        let encoded = COMPRESS.with_borrow_mut(|kept| {
            let context = match kept {
                Some((bits, at, context)) if (*bits, *at) == (server_bits, level) => {
                    context.reset();
                    context
                }
                _ => &mut kept.insert((server_bits, level, compressor(server_bits, level))).2,
            };
            encode(context, first, parts)
        });
        let plain: usize = parts.iter().map(|part| part.len()).sum();
        encoded.filter(|encoded| encoded.len() < plain)
    }
}

/// The decompressor of one connection.
#[derive(Debug)]
pub(crate) struct Inflate {
    parameters: Parameters,
    /// The limit on the size of an inflated message in bytes.
    limit: usize,
    context: Option<Decompress>,
}

impl Inflate {
    pub(crate) fn new(parameters: Parameters, limit: usize) -> Self {
        Self { parameters, limit, context: None }
    }

    /// Inflates a complete message. Allocates at most one byte more than the limit.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, ReadError> {
        let limit = self.limit;
        if self.parameters.client_takeover {
            let bits = window(self.parameters.client_bits);
            let fresh = || Decompress::new_with_window_bits(false, bits);
            return decode(self.context.get_or_insert_with(fresh), payload, limit);
        }
        DECOMPRESS.with_borrow_mut(|kept| {
            let context = kept.get_or_insert_with(|| Decompress::new(false));
            context.reset(false);
            decode(context, payload, limit)
        })
    }
}

fn compressor(bits: u8, level: u32) -> Compress {
    Compress::new_with_window_bits(Compression::new(level), false, window(bits))
}

/// zlib has no raw window of 8 bits. With 9 bits it refers back at most 250 bytes, which 8 bits
/// allow.
fn window(bits: u8) -> u8 {
    bits.clamp(9, 15)
}

/// Encodes a complete WebSocket frame. Returns `None` if zlib fails, which it never does.
fn encode(context: &mut Compress, first: u8, parts: &[&[u8]]) -> Option<Bytes> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(HEADROOM + len / 2 + 64);
    out.resize(HEADROOM, 0);
    for (flush, part) in parts
        .iter()
        .map(|part| (FlushCompress::None, *part))
        .chain([(FlushCompress::Sync, &[][..])])
    {
        let mut rest = part;
        loop {
            // zlib needs space for a complete flush at once.
            if out.capacity() - out.len() < 64 {
                out.reserve(out.len().max(64));
            }
            let before = context.total_in();
            context.compress_vec(rest, &mut out, flush).ok()?;
            rest = rest.get((context.total_in() - before) as usize..)?;
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
    }
    let payload = out.len().checked_sub(HEADROOM + SYNC_FLUSH_TAIL.len())?;
    out.truncate(HEADROOM + payload);
    let header = websocket::header(first | COMPRESSED, payload, None);
    let header = header.as_ref();
    let start = HEADROOM - header.len();
    out.get_mut(start..HEADROOM)?.copy_from_slice(header);
    Some(Bytes::from(out.into_boxed_slice()).slice(start..))
}

fn decode(context: &mut Decompress, payload: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let most = limit.saturating_add(1);
    let mut out = Vec::with_capacity(payload.len().saturating_mul(4).clamp(64, most.max(64)));
    let mut final_blocks = 0;
    for mut rest in [payload, SYNC_FLUSH_TAIL] {
        loop {
            if out.len() == out.capacity() {
                let more = out.len().max(64).min(most.saturating_sub(out.len()));
                out.reserve_exact(more);
            }
            let before = context.total_in();
            let status = context
                .decompress_vec(rest, &mut out, FlushDecompress::Sync)
                .map_err(|_| ReadError::Deflate)?;
            let read = (context.total_in() - before) as usize;
            rest = rest.get(read..).unwrap_or_default();
            if out.len() > limit {
                return Err(WebSocketError::TooLarge { max_payload: limit }.into());
            }
            if status == Status::StreamEnd {
                final_blocks += 1;
                if final_blocks > MAX_FINAL_BLOCKS {
                    return Err(ReadError::Deflate);
                }
                context.reset(false);
            }
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            if status == Status::BufError && read == 0 && out.len() < out.capacity() {
                return Err(ReadError::Deflate);
            }
        }
    }
    Ok(out)
}
