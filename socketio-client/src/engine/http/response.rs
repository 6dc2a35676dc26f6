//! The head of an HTTP response, and how its body ends (RFC 9112).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

use super::BINARY;
use crate::engine::error::RequestError;

/// The limit of a head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The limit of the number of headers.
const MAX_HEADERS: usize = 100;

/// The limit of the line in front of a chunk, and of the trailers of a body, in bytes.
const MAX_CHUNK_LINE: usize = 8 * 1024;

/// The parts of a head that the client uses.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Whether the content type is binary.
    pub(super) binary: bool,
    /// The `Set-Cookie` headers.
    pub(super) cookies: HeaderMap,
    /// Whether the connection can serve another request after the body.
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
}

/// How a body ends, and the state of its decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this number of bytes.
    Length(u64),
    /// With the connection.
    UntilClose,
    /// The size of the next chunk follows.
    ChunkSize,
    /// After this number of bytes of the chunk, its line break follows.
    Chunk(u64),
    /// After the last chunk. At most this number of bytes may follow.
    Trailers(usize),
}

impl Head {
    /// Removes the head from the beginning of `unread`. Returns `None` if it is incomplete. The
    /// first `searched` bytes were there at the last call. Skips interim responses.
    pub(super) fn take(
        unread: &mut BytesMut,
        mut searched: usize,
    ) -> Result<Option<Self>, RequestError> {
        let blank = unread.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        unread.advance(blank);
        searched = searched.saturating_sub(blank);
        // Parsed once per line at most, so that a head that arrives in tiny pieces stays cheap.
        while unread.iter().skip(searched).any(|byte| *byte == b'\n') {
            let Some((head, len)) = Self::parse(unread)? else { break };
            unread.advance(len);
            if head.status == 101 || head.status >= 200 {
                return Ok(Some(head));
            }
            searched = 0;
        }
        if unread.len() >= MAX_HEAD {
            return Err(malformed("the head of the response is too large"));
        }
        Ok(None)
    }

    /// Returns a head and its length in bytes, or `None` if it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, RequestError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes);
        let httparse::Status::Complete(len) =
            parsed.map_err(|error| RequestError::Protocol(Box::new(error)))?
        else {
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        let persistent = response.version == Some(1);
        let mut head = Self {
            status,
            binary: false,
            cookies: HeaderMap::new(),
            keep_alive: persistent,
            framing: Framing::UntilClose,
        };
        let (mut length, mut encoding) = (None, None);
        for httparse::Header { name, value } in response.headers.iter() {
            if name.eq_ignore_ascii_case("content-type") {
                head.binary = value.starts_with(BINARY.as_bytes());
            } else if name.eq_ignore_ascii_case("set-cookie") {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    head.cookies.append(header::SET_COOKIE, value);
                }
            } else if name.eq_ignore_ascii_case("connection") {
                for option in tokens(value) {
                    head.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    if option.eq_ignore_ascii_case(b"close") {
                        head.keep_alive = false;
                        break;
                    }
                }
            } else if name.eq_ignore_ascii_case("content-length") {
                for token in tokens(value) {
                    let digits = !token.is_empty() && token.iter().all(u8::is_ascii_digit);
                    let token = std::str::from_utf8(token).ok().filter(|_| digits);
                    let parsed = token.and_then(|token| token.parse::<u64>().ok());
                    let parsed = parsed.filter(|new| length.is_none_or(|length| length == *new));
                    length = Some(parsed.ok_or_else(|| malformed("invalid Content-Length"))?);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                encoding = tokens(value).last();
            }
        }
        head.framing = match (encoding, length) {
            _ if matches!(status, 100..=199 | 204 | 304) => Framing::Length(0),
            (Some(_), _) if !persistent => {
                return Err(malformed("Transfer-Encoding in HTTP/1.0"));
            }
            (Some(encoding), _) if encoding.eq_ignore_ascii_case(b"chunked") => Framing::ChunkSize,
            (None, Some(length)) => Framing::Length(length),
            (Some(_), _) | (None, None) => Framing::UntilClose,
        };
        head.keep_alive &= head.framing != Framing::UntilClose;
        Ok(Some((head, len)))
    }
}

impl Framing {
    /// Returns whether the body is complete.
    pub(super) fn is_ended(self) -> bool {
        self == Self::Length(0)
    }

    /// Removes the next piece of the body from the beginning of `unread`. Returns `None` at the end
    /// of the body, and if more must be read.
    pub(super) fn take(&mut self, unread: &mut BytesMut) -> Result<Option<Bytes>, RequestError> {
        loop {
            match self {
                Self::Length(left) | Self::Chunk(left) if *left > 0 => {
                    let len = unread.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= len as u64;
                    return Ok((len > 0).then(|| unread.split_to(len).freeze()));
                }
                Self::Length(_) => return Ok(None),
                Self::UntilClose => {
                    return Ok((!unread.is_empty()).then(|| unread.split().freeze()));
                }
                Self::Chunk(_) => {
                    match unread.get(..2) {
                        None => return Ok(None),
                        Some(b"\r\n") => unread.advance(2),
                        Some(_) => return Err(malformed("invalid end of a chunk")),
                    }
                    *self = Self::ChunkSize;
                }
                Self::ChunkSize => match httparse::parse_chunk_size(unread) {
                    Ok(httparse::Status::Complete((len, size))) => {
                        unread.advance(len);
                        *self = if size == 0 {
                            Self::Trailers(MAX_CHUNK_LINE)
                        } else {
                            Self::Chunk(size)
                        };
                    }
                    Ok(httparse::Status::Partial) if unread.len() < MAX_CHUNK_LINE => {
                        return Ok(None);
                    }
                    _ => return Err(malformed("invalid size of a chunk")),
                },
                Self::Trailers(left) => {
                    let end = unread.iter().position(|byte| *byte == b'\n');
                    let len = end.map_or(unread.len(), |end| end + 1);
                    if len > *left {
                        return Err(malformed("the trailers of the response are too large"));
                    }
                    if end.is_none() {
                        return Ok(None);
                    }
                    *left -= len;
                    if matches!(&*unread.split_to(len), b"\r\n" | b"\n") {
                        *self = Self::Length(0);
                    }
                }
            }
        }
    }
}

pub(super) fn malformed(message: &'static str) -> RequestError {
    RequestError::Protocol(message.into())
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The status and the body of a response, if it is complete.
    type Complete = Option<(u16, Vec<u8>)>;

    /// Decodes a response that arrives in pieces of this size. Also returns the number of bytes
    /// behind it.
    fn decode(bytes: &[u8], piece: usize) -> Result<(Complete, usize), RequestError> {
        let (mut unread, mut head, mut body) = (BytesMut::new(), None, Vec::new());
        for piece in bytes.chunks(piece) {
            let searched = unread.len();
            unread.extend_from_slice(piece);
            if head.is_none() {
                head = Head::take(&mut unread, searched)?;
            }
            if let Some(head) = &mut head {
                while let Some(piece) = head.framing.take(&mut unread)? {
                    body.extend_from_slice(&piece);
                }
            }
        }
        let head = head.filter(|head| head.framing.is_ended() || !head.keep_alive);
        Ok((head.map(|head| (head.status, body)), unread.len()))
    }

    #[test]
    fn responses_are_decoded_in_pieces_of_any_size() {
        for (response, status, body, rest) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", 200, "abc", 1),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\nContent-Length: 3\r\n\r\nabc",
                200,
                "abc",
                0,
            ),
            ("\r\n\nHTTP/1.0 200\n\nabc", 200, "abc", 0),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n",
                204,
                "",
                0,
            ),
            (
                "HTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 502 X\r\nContent-Length: 1\r\n\r\nx",
                502,
                "x",
                0,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n\
                 A;x=\"y\"\r\n0123456789\r\n001\r\nx\r\n0\r\nTrailer: 1\r\n\r\nHT",
                200,
                "0123456789x",
                2,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc", 200, "abc", 0),
        ] {
            for piece in 1..=response.len() {
                let decoded = decode(response.as_bytes(), piece).unwrap();
                assert_eq!(decoded, (Some((status, body.into())), rest), "{response:?}, {piece}");
            }
        }
    }

    #[test]
    fn malformed_and_endless_responses_are_refused() {
        let long = "x".repeat(MAX_HEAD);
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        for response in [
            "SSH-2.0-OpenSSH\r\n".into(),
            "HTTP/2 200 OK\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".into(),
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".into(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n".into(),
            format!("HTTP/1.1 200 OK\r\na: {long}"),
            format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{long}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: {long}"),
        ] {
            for piece in [7, 1000, response.len()] {
                let beginning = response.get(..90).unwrap_or(&response);
                assert!(decode(response.as_bytes(), piece).is_err(), "{beginning:?}, {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_responses_do_not_depend_on_the_size_of_pieces(
            response in "(HTTP/1.[01] [12]0[04] X\r\n)?(Transfer-Encoding: chunked\r\n|Content-Length: [0-9]\r\n|a: b\r\n){0,3}\r\n([0-9a-f;\r\nx]|1\r\nx\r\n){0,20}",
            piece in 1..20_usize,
        ) {
            let whole = decode(response.as_bytes(), response.len());
            match (whole, decode(response.as_bytes(), piece)) {
                (Ok(whole), Ok(pieces)) => prop_assert_eq!(whole, pieces),
                // The last line of an incomplete head is not parsed.
                (Err(_), Ok((None, _))) => {}
                (whole, pieces) => prop_assert!(whole.is_err() && pieces.is_err()),
            }
        }
    }
}
