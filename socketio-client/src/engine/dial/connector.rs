//! Opens byte streams: over TCP, or by the user's connector.

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

/// The future returned by a [`Connector`].
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// Opens streams to servers and proxies. The default uses TCP and the system's resolver. Other
/// connectors can use Unix sockets, another resolver, a bound source address, or in-memory streams.
///
/// The client speaks TLS over the stream if the URL requires it. Any `Fn(String, u16)` that returns
/// the future of a stream is a connector:
///
/// ```
/// use socketio_client::EngineOptions;
/// use tokio::net::UnixStream;
///
/// let options = EngineOptions::new()
///     .connector(|_host: String, _port: u16| UnixStream::connect("/run/chat.sock"));
/// ```
pub trait Connector: Send + Sync + 'static {
    /// Connects to a port of a host. The host is a name or an IP address (IPv6 without brackets).
    ///
    /// The client may drop the future at any time.
    ///
    /// # Errors
    ///
    /// Any I/O error. It becomes the source of
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

/// The default [`Connector`]. It connects over TCP without Nagle's delay (`TCP_NODELAY`), uses the
/// system's resolver, and tries the addresses of a name one after another.
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
