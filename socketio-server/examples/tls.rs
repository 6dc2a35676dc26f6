//! A server for `https://` and `wss://` over HTTP/1.1 and, with the feature `http2`, HTTP/2. It
//! drains its sessions before it stops.
//!
//! ```sh
//! cargo run -p socketio-server --features tls,http2 --example tls
//! ```
//!
//! Environment: `PORT` (3000), and `CERT` and `KEY`, the PEM files of a certificate chain and its
//! private key. Without them the server creates its own certificate, which clients do not trust by
//! default.

use std::{env, error::Error, sync::Arc, time::Duration};

use socketio_server::{
    Data, Server, Socket,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    },
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| async move { text });
    io.on("secure", |socket: Socket| async move { socket.conn().handshake().secure() });

    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let (chain, key) = identity()?;
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let listening = io.bind_tls(("127.0.0.1", port), Arc::new(tls)).await?;
    println!("listening on https://{}", listening.local_addr()?);

    signal(SignalKind::terminate())?.recv().await;
    println!("{:?}", io.drain(Duration::from_secs(5)).await);
    listening.stop();
    listening.join().await;
    Ok(())
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity() -> Result<Identity, Box<dyn Error>> {
    if let (Ok(chain), Ok(key)) = (env::var("CERT"), env::var("KEY")) {
        let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
        return Ok((chain, PrivateKeyDer::from_pem_file(key)?));
    }
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    Ok((vec![own.cert.der().clone()], key.into()))
}
