//! Compression of polling responses.

use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;

use crate::response::ResponseBody;

/// Longer bodies are compressed on a thread of the runtime's blocking pool, so that no other session waits for more than
/// about half a millisecond.
const INLINE: usize = 32 * 1024;

/// How many bodies are compressed on such threads at once, in the whole process: it bounds their memory.
static LARGE: Semaphore = Semaphore::const_new(8);

/// brotli's window, 256 KiB: larger ones cost 8 MiB per response for one percent.
const BROTLI_WINDOW: i32 = 18;

/// How polling responses are compressed: with gzip, brotli or deflate, whatever the client's `Accept-Encoding` likes best
/// (the first of these where it likes them alike).
///
/// Only responses with packets are compressed, from [`threshold`](Self::threshold) on, and only if one of their packets may
/// be (see [`Frames::compress`](crate::Frames::compress)).
///
/// While a response is compressed it costs 0.4 MiB beside its body, with brotli 0.6 to 4 MiB; nothing is kept afterwards.
/// Time, measured with chat-like JSON at the default levels: 30 µs for 2 KB and 1 ms for 100 KB. Bodies over 32 KiB are
/// compressed outside the runtime's worker threads, eight at a time.
///
/// Whoever can put text of his own beside a secret into one response, and see its length on the wire, can guess the secret
/// letter by letter (the attack named BREACH, which TLS does not prevent). Send such messages uncompressed.
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
    /// Bytes of a body below which it is sent as it is (default 1024).
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The level of gzip and deflate, from 1, the fastest, to 9 (default 4; Node's is 6, which takes twice the time for 4 %).
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// The quality of brotli, from 1, the fastest, to 11 (default 4). Beyond 4 it is several times slower.
    pub fn brotli_quality(mut self, quality: u32) -> Self {
        self.brotli_quality = quality.clamp(1, 11);
        self
    }

    /// Compresses a response, if its length and its request are for it.
    pub(crate) async fn apply(
        &self,
        request: &HeaderMap,
        response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        let (mut parts, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        if body.len() < self.threshold {
            return Response::from_parts(parts, Full::new(body));
        }
        parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        let compressed = match Encoding::accepted(request) {
            Some(encoding) => self.compress(encoding, &body).await,
            None => None,
        };
        let body = match compressed {
            Some((encoding, compressed)) => {
                let name = HeaderValue::from_static(encoding.name());
                parts.headers.insert(header::CONTENT_ENCODING, name);
                compressed
            }
            None => body,
        };
        Response::from_parts(parts, Full::new(body))
    }

    /// Nothing where it cannot be done, which is no reason not to send the body.
    async fn compress(&self, encoding: Encoding, body: &Bytes) -> Option<(Encoding, Bytes)> {
        let compressed = if body.len() <= INLINE {
            encoding.encode(self, body)
        } else {
            let _permit = LARGE.acquire().await.ok()?;
            let (config, body) = (self.clone(), body.clone());
            let encode = move || encoding.encode(&config, &body);
            tokio::task::spawn_blocking(encode).await.ok()?
        };
        Some((encoding, compressed.ok()?.into()))
    }
}

/// The content codings (RFC 9110 section 8.4.1) offered, the best first.
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

    /// What the client likes best (RFC 9110 section 12.5.3); nothing where it says nothing, or would rather have the body as
    /// it is.
    fn accepted(request: &HeaderMap) -> Option<Self> {
        let mut best = (weight(request, "identity").unwrap_or_default().max(1), None);
        for encoding in Self::ALL {
            let weight = weight(request, encoding.name()).or_else(|| weight(request, "*"));
            // The first of equals, but any of them before the body as it is.
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

/// How much the client likes a coding, in thousandths, where it names it.
fn weight(request: &HeaderMap, name: &str) -> Option<u16> {
    let values = request.get_all(header::ACCEPT_ENCODING).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).find_map(
        |item| {
            let (coding, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
            let weight = parameter.trim().strip_prefix(['q', 'Q']).unwrap_or_default().trim_start();
            let weight =
                weight.strip_prefix('=').and_then(|weight| weight.trim().parse::<f32>().ok());
            // What cannot be read is not accepted.
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
    fn the_client_chooses() {
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
    fn what_is_encoded_is_decoded() {
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
