//! Compression of polling responses.

use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;

use crate::response::ResponseBody;

/// Longer bodies are compressed on a thread of the runtime's blocking pool, so that other sessions
/// wait at most about half a millisecond.
const MAX_INLINE: usize = 32 * 1024;

/// Limits how many large bodies the process compresses at once, which bounds their memory.
static LARGE_BODIES: Semaphore = Semaphore::const_new(8);

/// brotli's window, 256 KiB. Larger ones cost 8 MiB per response and gain one percent.
const BROTLI_WINDOW: i32 = 18;

/// The compression of polling responses. The client's `Accept-Encoding` selects gzip, brotli or
/// deflate. If the client has no preference, the first of these is used.
///
/// Only responses with packets are compressed, from [`threshold`](Self::threshold) on, and only if
/// at least one of their packets allows it (see [`Frames::compress`](crate::Frames::compress)).
///
/// The compression of a response needs 0.4 MiB in addition to its body, and 0.6 to 4 MiB with
/// brotli. Afterwards no memory is kept. It takes 30 µs for 2 KB and 1 ms for 100 KB, measured with
/// chat-like JSON at the default levels. Bodies over 32 KiB are compressed outside the runtime's
/// worker threads, eight at a time.
///
/// An attacker who can place text next to a secret in the same response, and see the length of the
/// response on the wire, can guess the secret letter by letter (the BREACH attack, which TLS does
/// not prevent). Send such messages uncompressed.
///
/// ```
/// use engineio_server::{EngineConfig, HttpCompression};
///
/// let config = EngineConfig::default().http_compression(HttpCompression::default().threshold(4096));
/// let none = EngineConfig::default().http_compression(None);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpCompression {
    threshold: usize,
    level: u32,
    brotli_quality: u32,
}

impl Default for HttpCompression {
    fn default() -> Self {
        Self { threshold: 1024, level: 4, brotli_quality: 4 }
    }
}

impl HttpCompression {
    /// Sets the size in bytes from which a body is compressed (default 1024).
    ///
    /// ```
    /// use engineio_server::HttpCompression;
    ///
    /// let compression = HttpCompression::default().threshold(4096);
    /// ```
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets the level of gzip and deflate, from 1 (fastest) to 9 (default 4). Node's default is 6,
    /// which takes twice the time and makes responses 4 % smaller.
    ///
    /// ```
    /// use engineio_server::HttpCompression;
    ///
    /// let compression = HttpCompression::default().level(6);
    /// ```
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Sets the quality of brotli, from 1 (fastest) to 11 (default 4). Values above 4 are several
    /// times slower.
    ///
    /// ```
    /// use engineio_server::HttpCompression;
    ///
    /// let compression = HttpCompression::default().brotli_quality(1);
    /// ```
    pub fn brotli_quality(mut self, quality: u32) -> Self {
        self.brotli_quality = quality.clamp(1, 11);
        self
    }

    /// Compresses a response if its length and the request allow it.
    pub(crate) async fn apply(&self, request: &HeaderMap, response: &mut Response<ResponseBody>) {
        if response.body().size_hint().lower() < self.threshold as u64 {
            return;
        }
        let vary = HeaderValue::from_static("accept-encoding");
        response.headers_mut().append(header::VARY, vary);
        if let Some(encoding) = Encoding::accepted(request) {
            // Boxed, because most responses are too short.
            Box::pin(self.compress(encoding, response)).await;
        }
    }

    /// Compresses a response. Returns `None` if that fails. The body is then sent uncompressed.
    async fn compress(
        &self,
        encoding: Encoding,
        response: &mut Response<ResponseBody>,
    ) -> Option<()> {
        let Ok(body) = response.body().clone().collect().await;
        let body = body.to_bytes();
        let compressed = if body.len() <= MAX_INLINE {
            encoding.encode(self, &body)
        } else {
            let _permit = LARGE_BODIES.acquire().await.ok()?;
            let config = self.clone();
            let encode = move || encoding.encode(&config, &body);
            tokio::task::spawn_blocking(encode).await.ok()?
        };
        *response.body_mut() = Full::new(compressed.ok()?.into());
        let name = HeaderValue::from_static(encoding.name());
        response.headers_mut().insert(header::CONTENT_ENCODING, name);
        Some(())
    }
}

/// The supported content codings (RFC 9110 section 8.4.1), the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Brotli,
    Deflate,
}

impl Encoding {
    const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Deflate];

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Deflate => "deflate",
        }
    }

    /// Returns the coding that the client prefers (RFC 9110 section 12.5.3). Returns `None` if it
    /// accepts none or prefers the uncompressed body.
    fn accepted(request: &HeaderMap) -> Option<Self> {
        let mut best = (weight(request, "identity").unwrap_or_default().max(1), None);
        for encoding in Self::ALL {
            let weight = weight(request, encoding.name()).or_else(|| weight(request, "*"));
            // Among equal weights, the first coding wins, and any coding wins over `identity`.
            let weight = weight.unwrap_or_default();
            if weight > best.0 || best.1.is_none() && weight == best.0 {
                best = (weight, Some(encoding));
            }
        }
        best.1
    }

    fn encode(self, config: &HttpCompression, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let level = Compression::new(config.level);
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(body)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                encoder.write_all(body)?;
                encoder.finish()
            }
            Self::Brotli => {
                let params = BrotliEncoderParams {
                    quality: config.brotli_quality as i32,
                    lgwin: BROTLI_WINDOW,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut &*body, &mut out, &params)?;
                Ok(out)
            }
        }
    }
}

/// Returns the client's weight for a coding in thousandths, if it is listed.
fn weight(request: &HeaderMap, name: &str) -> Option<u16> {
    let values = request.get_all(header::ACCEPT_ENCODING).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).find_map(
        |item| {
            let (coding, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
            let weight = parameter.trim().strip_prefix(['q', 'Q']).unwrap_or_default().trim_start();
            let weight =
                weight.strip_prefix('=').and_then(|weight| weight.trim().parse::<f32>().ok());
            // A malformed weight means that the coding is not accepted.
            let weight = weight.map_or(0.0, |weight| weight.clamp(0.0, 1.0) * 1000.0);
            coding.trim().eq_ignore_ascii_case(name).then_some(weight as u16)
        },
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn accepted(values: &[&'static str]) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        Encoding::accepted(&headers)
    }

    #[test]
    fn the_client_selects_the_coding() {
        use Encoding::{Brotli, Deflate, Gzip};
        for (value, encoding) in [
            ("gzip, deflate, br, zstd", Some(Gzip)),
            ("br, gzip", Some(Gzip)),
            ("deflate,br", Some(Brotli)),
            ("gzip;q=0.5, br ; q=0.8, deflate;q=0.801", Some(Deflate)),
            ("GZIP;Q=0.1", Some(Gzip)),
            ("*", Some(Gzip)),
            ("*;q=0.5, gzip;q=0", Some(Brotli)),
            ("identity, br", Some(Brotli)),
            ("identity;q=0.5, br;q=0.4", None),
            ("identity;q=0, br;q=0.001", Some(Brotli)),
            ("gzip;q=0, *;q=0", None),
            ("gzip;q=abc", None),
            ("gzip;q=NaN", None),
            ("gzip;level=9", None),
            ("gzip;q=7", Some(Gzip)),
            ("zstd, compress", None),
            ("", None),
            (";;,,=q", None),
        ] {
            assert_eq!(accepted(&[value]), encoding, "{value:?}");
        }
        assert_eq!(accepted(&["zstd", "deflate"]), Some(Deflate));
        assert_eq!(accepted(&[]), None);
    }

    #[test]
    fn encoded_bodies_decode_to_the_original() {
        let body = b"0123456789".repeat(5000);
        for level in [0, 1, 9, 99] {
            let config = HttpCompression::default().level(level).brotli_quality(level);
            for encoding in Encoding::ALL {
                let encoded = encoding.encode(&config, &body).unwrap();
                let mut decoded = Vec::new();
                let mut encoded: &[u8] = &encoded;
                assert!(encoded.len() < body.len() / 10);
                let read = match encoding {
                    Encoding::Gzip => {
                        flate2::read::GzDecoder::new(encoded).read_to_end(&mut decoded)
                    }
                    Encoding::Deflate => {
                        flate2::read::ZlibDecoder::new(encoded).read_to_end(&mut decoded)
                    }
                    Encoding::Brotli => {
                        brotli::BrotliDecompress(&mut encoded, &mut decoded).map(|()| 0)
                    }
                };
                read.unwrap();
                assert_eq!(decoded, body, "{encoding:?} at level {level}");
            }
        }
    }
}
