//! Certificates and readiness of engines with TLS.

use std::{
    fs::{self, Permissions},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::program::Error;

/// Writes a certificate and its key to files in the folder of an engine.
pub(crate) fn write(
    folder: &Path,
    certificate: &str,
    key: &str,
) -> Result<(PathBuf, PathBuf), Error> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        let failed = |error| Error(format!("{}: {error}", path.display()));
        fs::write(&path, text).map_err(failed)?;
        // PostgreSQL refuses a key that other users can read.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(path)
    };
    Ok((put("certificate.pem", certificate)?, put("key.pem", key)?))
}

/// Whether a TLS server is listening. It responds to plain text with an alert, or closes the
/// connection.
pub(crate) fn is_ready(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    let ended = |kind| matches!(kind, ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof);
    match stream.read_exact(&mut [0]) {
        Ok(()) => Ok(true),
        Err(error) => Ok(ended(error.kind())),
    }
}
