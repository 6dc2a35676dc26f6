//! The Socket.IO client.

#[allow(dead_code, unused_imports, reason = "the manager that drives it is being built")]
mod engine;

pub use self::engine::{
    BoxStream, ByteStream, Connecting, Connector, EngineError, EngineOptions, Proxy, RequestError,
    TcpConnector, Tls,
};
#[cfg(feature = "native-tls")]
pub use tokio_native_tls::native_tls;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
