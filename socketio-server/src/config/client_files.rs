//! Serving the JavaScript client's files next to the protocol.

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

/// The served files of the npm packages `socket.io` (in `client-dist`) and `socket.io-client` (in
/// `dist`).
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

/// The JavaScript client's bundle, for
/// [`ServerConfig::serve_client`](crate::ServerConfig::serve_client). The files are kept in memory
/// (about 1.2 MB in total, with the source maps). A clone costs one reference count.
#[derive(Clone)]
pub struct ClientFiles(Arc<Inner>);

struct Inner {
    files: Vec<(&'static str, Bytes)>,
    etag: HeaderValue,
}

impl ClientFiles {
    /// Reads the files `socket.io.js`, `socket.io.min.js`, `socket.io.esm.min.js`,
    /// `socket.io.msgpack.min.js` and their source maps from a folder, which may be your own or an
    /// npm package's `dist`. Files that do not exist are skipped. The ETag is the version in the
    /// `package.json` beside or above them, or is derived from the contents. It is weak, because
    /// all encodings of a file share it.
    ///
    /// ```
    /// use socketio_server::ClientFiles;
    ///
    /// let missing = ClientFiles::from_dir("no/such/folder");
    /// assert!(missing.is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, or if none of the files exists.
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
        let etag = HeaderValue::from_str(&format!("W/\"{version}\"")).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner { files, etag })))
    }

    /// Responds to a request for one of the files.
    pub(crate) fn respond(&self, name: &str, request: &Parts) -> Option<Response<Bytes>> {
        let (_, content) = self.0.files.iter().find(|(known, _)| *known == name)?;
        if request.method != Method::GET && request.method != Method::HEAD {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(header::ETAG, self.0.etag.clone());
        let known = request.headers.get_all(header::IF_NONE_MATCH);
        if known.into_iter().any(|list| self.is_among(list.as_bytes())) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        let kind = match name.ends_with(".map") {
            true => "application/json; charset=utf-8",
            false => "application/javascript; charset=utf-8",
        };
        *response.body_mut() = content.clone();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Some(response)
    }

    /// Returns whether a list of ETags (RFC 9110, 13.1.2) sent by the client contains this version.
    /// The mark of weak ETags is ignored. A comma inside an ETag would be taken for its end, but
    /// ours contains none.
    fn is_among(&self, list: &[u8]) -> bool {
        let current = opaque(self.0.etag.as_bytes());
        list.split(|byte| *byte == b',').any(|etag| {
            let etag = etag.trim_ascii();
            etag == b"*" || opaque(etag) == current
        })
    }
}

fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
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
