//! The way to a WebTransport session: addresses, then QUIC, then HTTP/3.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use quinn::Endpoint;
use tokio::net::lookup_host;

use super::{
    Quic,
    http3::{Http3Session, lost},
};
use crate::engine::{
    config::Shared,
    dial::{Attempt, race},
    error::RequestError,
};

/// How long an address of the server may take before the next one is tried as well (RFC 8305
/// section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to the server and requests the session `sid`, which may be empty.
pub(super) async fn connect(shared: &Shared, sid: &str) -> Result<Http3Session, RequestError> {
    let (host, port) = (&*shared.address.host, shared.address.port);
    let failed = |source| RequestError::Connect { host: host.to_owned(), port, source };
    let Some(quic) = &shared.quic else {
        return Err(failed(io::ErrorKind::Unsupported.into()));
    };
    let addresses = lookup_host((host, port)).await.map_err(failed)?;
    let attempts = addresses.map(|address| {
        let (quic, host) = (quic.clone(), host.to_owned());
        let attempt = async move { handshake(quic, address, &host).await };
        Box::pin(attempt) as Attempt<quinn::Connection, RequestError>
    });
    let connection = race(attempts.collect(), NEXT_ADDRESS).await;
    let connection = connection.unwrap_or_else(|| Err(failed(io::ErrorKind::NotFound.into())))?;
    Http3Session::connect(connection, shared, sid).await
}

async fn handshake(
    quic: Quic,
    address: SocketAddr,
    host: &str,
) -> Result<quinn::Connection, RequestError> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let endpoint = Endpoint::client((any, 0).into())?;
    let connecting = endpoint.connect_with(quic, address, host);
    let connecting = connecting.map_err(|error| RequestError::Protocol(Box::new(error)))?;
    connecting.await.map_err(lost)
}
