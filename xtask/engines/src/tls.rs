//! Certificates of engines that speak TLS.

use std::{
    fs::{self, Permissions},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::error::Error;

/// Puts a certificate and its key into files of an engine's folder.
pub(crate) fn write(
    folder: &Path,
    certificate: &str,
    key: &str,
) -> Result<(PathBuf, PathBuf), Error> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        let failed = |error| Error(format!("{}: {error}", path.display()));
        fs::write(&path, text).map_err(failed)?;
        // PostgreSQL takes no key that others can read.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(path)
    };
    Ok((put("certificate.pem", certificate)?, put("key.pem", key)?))
}

/// Whether somebody is there who wants TLS: what is none is answered by an alert, or by the end of the connection.
pub(crate) fn answers(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    let ended = |kind| matches!(kind, ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof);
    match stream.read_exact(&mut [0]) {
        Ok(()) => Ok(true),
        Err(error) => Ok(ended(error.kind())),
    }
}
