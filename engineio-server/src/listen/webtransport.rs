//! The QUIC endpoint of WebTransport.

use std::{io, net::UdpSocket, sync::Arc, time::Duration};

use quinn::{
    Connection, EndpointConfig, IdleTimeout, Incoming, TokioRuntime, TransportConfig,
    crypto::rustls::QuicServerConfig,
};
use tokio::{
    net::{ToSocketAddrs, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::rustls::ServerConfig;

use super::{
    Listening,
    connection::{Peer, until_stopped},
};
use crate::{
    config::EngineConfig,
    engine::{Engine, webtransport::Failure},
    stats::DroppedCounters,
    transport::webtransport::{
        AcceptError,
        http3::{Http3Request, StreamError},
    },
    unauthenticated::{Slot, Unauthenticated},
};

/// Maximum number of connections that have no session yet.
const MAX_PENDING: usize = 1024;

/// Maximum number of connections of one address that have no session yet.
const MAX_PENDING_PER_ADDRESS: usize = 64;

/// Maximum number of connections that sent other requests and may still open a session. Further ones
/// are closed after the response.
const MAX_MISDIRECTED: usize = 128;

/// Bytes of one stream that wait to be read.
const STREAM_WINDOW: u32 = 512 * 1024;

/// Bytes of one connection that wait to be read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one connection that the client has not acknowledged.
const SEND_WINDOW: u64 = 1024 * 1024;

/// Bytes of datagrams that wait to be read. They are not read, but a client does not begin a
/// session with a server that accepts none.
const DATAGRAM_BUFFER: usize = 1500;

/// The request and the stream for packets.
const BIDIRECTIONAL_STREAMS: u32 = 2;

/// The control stream, the two of QPACK, and some of reserved types.
const UNIDIRECTIONAL_STREAMS: u32 = 8;

/// Clients such as browsers close a connection that is silent for 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

impl Engine {
    /// Listens for WebTransport on the UDP port of `address`. Usually the port has the same number
    /// as the TCP port of [`listen_tls`](Self::listen_tls), and the certificate is the same.
    ///
    /// [`transports`](EngineConfig::transports) must contain [`Transport::WebTransport`]. Clients
    /// open sessions over WebTransport, or upgrade sessions that began with long-polling or a
    /// WebSocket and were not upgraded before. The listener serves no other requests over HTTP/3: it
    /// answers them with 421, and keeps at most 128 connections on which it has received only such
    /// requests. See [`alt_svc`](EngineConfig::alt_svc).
    ///
    /// `tls` must support TLS 1.3 and its cipher suite `TLS13_AES_128_GCM_SHA256`. Its application
    /// protocols are replaced by `h3`, and early data (0-RTT) is not accepted.
    ///
    /// A request gets the same checks as one over TCP: path, [`cors`](EngineConfig::cors) and
    /// [`check_origin`](EngineConfig::check_origin), the limits on sessions, and
    /// [`allow_request`](EngineConfig::allow_request) if the client opens a session. It must arrive
    /// within [`head_timeout`](EngineConfig::head_timeout), and the first packet within
    /// [`upgrade_timeout`](EngineConfig::upgrade_timeout) after the response.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use engineio_server::{Engine, EngineConfig, Transport, rustls};
    ///
    /// # async fn run(tls: rustls::ServerConfig) -> std::io::Result<()> {
    /// let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
    /// let config = EngineConfig::default().transports(&transports);
    /// # let engine = Engine::new(config, |_| async {});
    /// let tls = Arc::new(tls);
    /// let tcp = engine.listen_tls("0.0.0.0:443", tls.clone()).await?;
    /// let udp = engine.listen_webtransport("0.0.0.0:443", tls).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound, or `tls` does not fit QUIC.
    ///
    /// [`Transport::WebTransport`]: crate::Transport::WebTransport
    pub async fn listen_webtransport(
        &self,
        address: impl ToSocketAddrs,
        tls: Arc<ServerConfig>,
    ) -> io::Result<Listening> {
        let config = quic_config(tls, self.config())?;
        let mut bound = Err(io::Error::new(io::ErrorKind::InvalidInput, "no address"));
        for address in lookup_host(address).await? {
            bound = UdpSocket::bind(address);
            if bound.is_ok() {
                break;
            }
        }
        let runtime = Arc::new(TokioRuntime);
        let endpoint =
            quinn::Endpoint::new(EndpointConfig::default(), Some(config), bound?, runtime)?;
        let (stop, stopped) = watch::channel(false);
        let dropped = Arc::<DroppedCounters>::default();
        let address = endpoint.local_addr();
        let misdirected = Arc::new(Semaphore::new(MAX_MISDIRECTED));
        let listener =
            Listener { engine: self.clone(), dropped: dropped.clone(), stopped, misdirected };
        let task = tokio::spawn(listener.run(endpoint));
        Ok(Listening { address, task, stop, dropped })
    }
}

#[derive(Clone)]
struct Listener {
    engine: Engine,
    dropped: Arc<DroppedCounters>,
    stopped: watch::Receiver<bool>,
    misdirected: Arc<Semaphore>,
}

/// The places that a connection without a session takes, which are limited.
enum Place {
    /// It has sent no complete request.
    Pending { _slot: Box<Slot>, _permit: OwnedSemaphorePermit },
    /// It has sent other requests. Browsers that follow [`EngineConfig::alt_svc`] must not keep
    /// others from opening sessions.
    Misdirected { _permit: OwnedSemaphorePermit },
}

impl Listener {
    async fn run(mut self, endpoint: quinn::Endpoint) {
        let pending = Arc::new(Semaphore::new(MAX_PENDING));
        let pending_by_address = Arc::new(Unauthenticated::default());
        loop {
            let incoming = tokio::select! {
                incoming = endpoint.accept() => incoming,
                () = until_stopped(&mut self.stopped) => break,
            };
            let Some(incoming) = incoming else { break };
            // Half of the connections may come from addresses that are not verified.
            let crowded = pending.available_permits() <= MAX_PENDING / 2;
            if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
                let _ = incoming.retry();
                continue;
            }
            let ip = incoming.remote_address().ip();
            let slot = pending_by_address.reserve(ip, MAX_PENDING_PER_ADDRESS);
            let permit = pending.clone().try_acquire_owned();
            let (Ok(_slot), Ok(_permit)) = (slot, permit) else {
                incoming.refuse();
                continue;
            };
            tokio::spawn(self.clone().serve(incoming, Place::Pending { _slot, _permit }));
        }
        endpoint.set_server_config(None);
        let _ = timeout(self.engine.config().linger, endpoint.wait_idle()).await;
    }

    /// Serves a connection until it has a session.
    async fn serve(self, incoming: Incoming, mut place: Place) {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            () = self.open_session(incoming, &mut place) => {}
            () = until_stopped(&mut stopped) => {}
        }
    }

    async fn open_session(&self, incoming: Incoming, place: &mut Place) {
        let head_timeout = self.engine.config().head_timeout;
        let Ok(request) = timeout(head_timeout, self.receive(incoming, place)).await else {
            if let Place::Pending { .. } = place {
                self.dropped.head_timeout.one();
            }
            return;
        };
        let Some(request) = request else { return };
        match self.engine.handle_webtransport(request).await {
            Ok(()) => {}
            Err(Failure::Late) => self.dropped.first_packet.one(),
            Err(Failure::Accept(error)) => {
                tracing::debug!(target: "engineio::listen", %error, "no first packet arrived on a WebTransport session");
                match error {
                    AcceptError::Stream(error) => self.count(&error),
                    AcceptError::Framing(_) => self.dropped.first_packet.one(),
                }
            }
        }
    }

    async fn receive(&self, incoming: Incoming, place: &mut Place) -> Option<Http3Request> {
        let connection: Connection = match incoming.await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(target: "engineio::listen", %error, "a QUIC handshake failed");
                self.dropped.tls_handshake.one();
                return None;
            }
        };
        let peer = Peer { address: connection.remote_address(), secure: true };
        match Http3Request::receive(connection, || self.misdirected(place)).await {
            Ok(mut request) => {
                peer.mark(&mut request.parts.extensions);
                Some(request)
            }
            Err(error) => {
                tracing::debug!(target: "engineio::listen", %error, "no request arrived on a QUIC connection");
                self.count(&error);
                None
            }
        }
    }

    /// Counts a request for something else than a session. Returns whether its connection may stay.
    fn misdirected(&self, place: &mut Place) -> bool {
        self.engine.count_misdirected();
        if let Place::Pending { .. } = place {
            let Ok(_permit) = self.misdirected.clone().try_acquire_owned() else { return false };
            *place = Place::Misdirected { _permit };
        }
        true
    }

    /// Counts a connection that was dropped. One that was merely lost is not counted.
    fn count(&self, error: &StreamError) {
        match error {
            StreamError::Malformed(_) => self.dropped.malformed.one(),
            StreamError::TooLarge => self.dropped.head_too_large.one(),
            StreamError::Ended | StreamError::Connection(_) => {}
        }
    }
}

fn quic_config(tls: Arc<ServerConfig>, config: &EngineConfig) -> io::Result<quinn::ServerConfig> {
    let mut tls = Arc::unwrap_or_clone(tls);
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls.max_early_data_size = 0;
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let crypto = QuicServerConfig::try_from(tls).map_err(invalid)?;
    let session = &config.session;
    // A session that is silent for too long ends before its connection, with a reason.
    let silence = session.ping_interval + session.ping_timeout;
    let pending = config.head_timeout + session.upgrade_timeout;
    let idle = silence.max(pending).saturating_add(config.linger);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(BIDIRECTIONAL_STREAMS.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .keep_alive_interval((session.ping_interval > KEEP_ALIVE).then_some(KEEP_ALIVE))
        // A longer time than the protocol can express means none.
        .max_idle_timeout(IdleTimeout::try_from(idle).ok());
    let mut quic = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    quic.transport_config(Arc::new(transport));
    Ok(quic)
}
