//! The JavaScript client, served beside the protocol.

use std::{
    collections::hash_map::DefaultHasher,
    fmt, fs,
    hash::{Hash, Hasher},
    io,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};

/// The files of the npm package `socket.io` (in `client-dist`) or `socket.io-client` (in `dist`) that are served.
const NAMES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// The JavaScript client's bundle, for [`ServerConfig::serve_client`](crate::ServerConfig::serve_client). It is kept in
/// memory (about 800 kB for all files); a clone costs one reference count.
#[derive(Clone)]
pub struct ClientFiles(Arc<Inner>);

struct Inner {
    files: Vec<(&'static str, Bytes)>,
    etag: HeaderValue,
}

impl ClientFiles {
    /// Reads the files `socket.io.js`, `socket.io.min.js`, `socket.io.esm.min.js`, `socket.io.msgpack.min.js` and their
    /// source maps, those that are there, from a folder: one of your own, or an npm package's `dist`. The ETag is the
    /// version in the `package.json` beside or above them, or else made of the contents.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or none of them is there.
    pub fn from_dir(folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref();
        let mut files = Vec::new();
        for name in NAMES {
            match fs::read(folder.join(name)) {
                Ok(content) => files.push((name, Bytes::from(content))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if files.is_empty() {
            let message = format!("no {} in {}", NAMES[0], folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let version = version(folder).unwrap_or_else(|| hash(&files));
        let etag = HeaderValue::from_str(&format!("\"{version}\"")).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner { files, etag })))
    }

    /// Answers a request for one of the files.
    pub(crate) fn answer(&self, name: &str, request: &Parts) -> Option<Response<Bytes>> {
        let (_, content) = self.0.files.iter().find(|(known, _)| *known == name)?;
        if request.method != Method::GET && request.method != Method::HEAD {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        if request.headers.get(header::IF_NONE_MATCH).is_some_and(|etag| self.is_current(etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        let kind = match name.ends_with(".map") {
            true => "application/json; charset=utf-8",
            false => "application/javascript; charset=utf-8",
        };
        *response.body_mut() = content.clone();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::ETAG, self.0.etag.clone());
        Some(response)
    }

    /// Whether a client has this version; a weak ETag says so too.
    fn is_current(&self, etag: &HeaderValue) -> bool {
        let etag = etag.as_bytes();
        etag.strip_prefix(b"W/").unwrap_or(etag) == self.0.etag.as_bytes()
    }
}

impl fmt::Debug for ClientFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.files.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientFiles").field("files", &names).field("etag", &self.0.etag).finish()
    }
}

fn version(folder: &Path) -> Option<String> {
    let folders = [Some(folder), folder.parent()];
    let text = folders.iter().flatten().find_map(|it| fs::read(it.join("package.json")).ok())?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

fn hash(files: &[(&str, Bytes)]) -> String {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
