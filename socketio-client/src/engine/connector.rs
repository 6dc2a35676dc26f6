//! Where the bytes go: TCP, or what the user puts in its place.

use std::{future::Future, io, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A stream of bytes to a server or proxy.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A boxed [`ByteStream`].
pub type BoxStream = Box<dyn ByteStream>;

/// The future of a [`Connector`].
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// Connects to servers and proxies. The default is TCP with the system's resolver; another one makes the client use Unix
/// sockets, a resolver of its own, a bound source address, or streams in memory.
///
/// TLS is spoken over the stream where the URL asks for it. Any `Fn(String, u16)` that returns a future of a stream is one:
///
/// ```
/// use socketio_client::EngineOptions;
/// use tokio::net::UnixStream;
///
/// let options = EngineOptions::new()
///     .connector(|_host: String, _port: u16| UnixStream::connect("/run/chat.sock"));
/// ```
pub trait Connector: Send + Sync + 'static {
    /// Connects to a host, a name or an IP address (IPv6 without brackets), at a port.
    ///
    /// The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// What the caller of `connect` shall find as the source of
    /// [`RequestError::Connect`](crate::RequestError::Connect).
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a>;
}

impl<F, Fut, S> Connector for F
where
    F: Fn(String, u16) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: ByteStream,
{
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        let connecting = self(host.to_owned(), port);
        Box::pin(async move { Ok(Box::new(connecting.await?) as BoxStream) })
    }
}

/// TCP without Nagle's delay, by the system's resolver. Addresses of one name are tried one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}
