//! TLS with each of the libraries.

use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, Issuer, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;
use crate::{Proxy, RequestError, Tls};

/// The certificate of a server named `server`, and its issuer.
struct Secure {
    network: Network,
    acceptor: TlsAcceptor,
    authority: rcgen::Certificate,
}

impl Secure {
    fn new(demand: bool) -> (Self, CertifiedKey<KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let [server, client] = ["server", "client"].map(|name| {
            let signing_key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            // OpenSSL treats a certificate with the name of its issuer as its own issuer.
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let cert = params.signed_by(&signing_key, &issuer).unwrap();
            CertifiedKey { cert, signing_key }
        });
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if demand {
            let verifier =
                tokio_rustls::rustls::server::WebPkiClientVerifier::builder_with_provider(
                    roots.into(),
                    provider,
                );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![server.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let network = Network::echo(engineio_server::EngineConfig::default());
        (Self { network, acceptor, authority }, client)
    }

    fn accept(&self) -> tokio::io::DuplexStream {
        let (client, server) = tokio::io::duplex(16 * 1024);
        let (network, acceptor) = (self.network.clone(), self.acceptor.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(server).await {
                network.serve(stream);
            }
        });
        client
    }

    fn options(self) -> EngineOptions {
        options().connector(move |_: String, _: u16| {
            let stream = self.accept();
            async move { Ok::<_, std::io::Error>(stream) }
        })
    }

    fn config(&self, client: Option<CertifiedKey<KeyPair>>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match client {
            None => builder.with_no_client_auth(),
            Some(CertifiedKey { cert, signing_key }) => {
                let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![cert.der().clone()], key).unwrap()
            }
        }
    }
}

async fn works(url: &str, options: EngineOptions) {
    let config = engine_config(url, &options).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    upgraded(&mut engine).await;
    let long = "x".repeat(100_000);
    engine.send(text(&long)).unwrap();
    assert_eq!(message(&mut engine).await, PacketData::Text(long.into()));
}

async fn refused(url: &str, options: &EngineOptions) {
    for via in [Transport::Polling, Transport::WebSocket] {
        let config = engine_config(url, &options.clone().transports([via])).unwrap();
        match Engine::open(&config).await.err().unwrap() {
            EngineError::Polling(RequestError::Tls { host, .. })
            | EngineError::WebSocket(RequestError::Tls { host, .. }) => {
                assert!(url.ends_with(&host));
            }
            error => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn rustls_works_with_custom_certificates() {
    let (secure, _) = Secure::new(false);
    let mut config = secure.config(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let options = secure.options().tls(Tls::rustls(config));
    works("https://server", options.clone()).await;
    refused("https://other", &options).await;
}

#[tokio::test]
async fn the_end_is_noticed_behind_tls_while_reading_is_paused() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let (secure, _) = Secure::new(false);
        let network = secure.network.clone();
        let tls = Tls::rustls(secure.config(None));
        let options = secure.options().tls(tls).transports([via]);
        let config = engine_config("https://server", &options).unwrap();
        let mut engine = Engine::open(&config).await.unwrap();
        engine.set_reading(false);
        let handle = network.engine().client(engine.sid()).unwrap();
        handle.send("last").unwrap();
        handle.close(engineio_server::Unsent::Send);
        assert!(matches!(event(&mut engine).await, EngineEvent::Message(_)), "{via:?}");
        assert_eq!(reason(&closed(&mut engine).await), CloseReason::TransportClose);
    }
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_is_refused() {
    let (secure, _) = Secure::new(false);
    let stranger = Secure::new(false).0.config(None);
    refused("wss://server", &secure.options().tls(Tls::rustls(stranger))).await;
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let (secure, client) = Secure::new(true);
    let config = secure.config(Some(client));
    works("wss://server", secure.options().tls(Tls::rustls(config))).await;

    let (secure, _) = Secure::new(true);
    let config = secure.config(None);
    let options = secure.options().tls(Tls::rustls(config)).transports([Transport::Polling]);
    let config = engine_config("https://server", &options).unwrap();
    assert!(Engine::open(&config).await.is_err());
}

#[tokio::test]
async fn polling_with_tls_goes_through_a_tunnel() {
    let (secure, _) = Secure::new(false);
    let config = secure.config(None);
    let proxy = Proxy::new("http://proxy:3128").unwrap();
    let options =
        options().tls(Tls::rustls(config)).proxy(proxy).connector(move |host: String, _: u16| {
            assert_eq!(host, "proxy");
            let (client, proxy) = tokio::io::duplex(16 * 1024);
            tokio::spawn(proxies::relay(
                proxy,
                secure.accept(),
                Default::default(),
                proxies::ESTABLISHED,
            ));
            async move { Ok::<_, std::io::Error>(client) }
        });
    works("https://server", options).await;
}

#[cfg(feature = "native-tls")]
#[tokio::test]
async fn native_tls_works_with_custom_certificates() {
    use crate::native_tls::{Certificate, TlsConnector};

    let (secure, _) = Secure::new(false);
    let authority = Certificate::from_pem(secure.authority.pem().as_bytes()).unwrap();
    let connector = TlsConnector::builder().add_root_certificate(authority).build().unwrap();
    let options = secure.options().tls(Tls::native(connector));
    works("https://server", options.clone()).await;
    refused("https://other", &options).await;
}

#[tokio::test]
async fn the_connector_may_speak_tls_itself() {
    let network = Network::echo(engineio_server::EngineConfig::default());
    works("https://server", options().connector(network.connector()).tls(Tls::by_connector()))
        .await;
}

#[cfg(all(
    any(feature = "rustls-ring", feature = "rustls-aws-lc"),
    any(feature = "native-roots", feature = "webpki-roots")
))]
#[tokio::test]
async fn the_default_refuses_untrusted_certificates() {
    let (secure, _) = Secure::new(false);
    refused("https://server", &secure.options()).await;
}
