//! Echoes over WebSocket and WebTransport: latency, CPU time and memory.
//!
//! - `latency server ADDRESS FOLDER` serves both. It writes a certificate to `FOLDER/cert.der`.
//! - `latency client URL HASH TRANSPORT COUNT MILLISECONDS` emits `COUNT` events at this interval, or
//!   one after another if it is 0. Prints percentiles of the time to their acks.
//! - `latency idle URL HASH TRANSPORT COUNT` opens `COUNT` connections and keeps them until it is
//!   killed.
//!
//! `HASH` is the SHA-256 hash of the certificate, as `sha256sum` prints it. `lossy_network.py` joins
//! two network namespaces by a line with losses.

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use socketio_client::{ClientConfig, Manager, Socket};
use socketio_server::{Ack, Args, Server, ServerConfig, Transport, rustls};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["server", address, folder] => serve(address, Path::new(folder)).await,
        ["client", url, hash, transport, count, interval] => {
            let socket = connect(url, hash, transport).await?;
            measure(&socket, transport, count.parse()?, Duration::from_millis(interval.parse()?))
                .await
        }
        ["idle", url, hash, transport, count] => {
            let mut sockets = Vec::new();
            for _ in 0..count.parse::<usize>()? {
                sockets.push(connect(url, hash, transport).await?);
            }
            println!("ready");
            std::future::pending().await
        }
        _ => Err("see the head of this program's source".into()),
    }
}

async fn serve(address: &str, folder: &Path) -> Result<(), Failure> {
    let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
    let config = ServerConfig::default().engine(|engine| engine.transports(&transports));
    let io = Server::with_config(config);
    io.on("echo", |args: Args, ack: Ack| async move {
        ack.send(&args)?;
        Ok(())
    });
    let pair = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()])?;
    let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH)?;
    (params.not_before, params.not_after) = (now, now + Duration::from_secs(24 * 3600));
    let certificate = params.self_signed(&pair)?;
    fs::write(folder.join("cert.der"), certificate.der())?;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der());
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_single_cert(vec![certificate.der().clone()], key.into())?;
    let _udp = io.bind_webtransport(address, Arc::new(tls)).await?;
    let tcp = io.bind(address).await?;
    println!("listening on {}", tcp.local_addr()?);
    std::future::pending().await
}

async fn connect(url: &str, hash: &str, transport: &str) -> Result<Socket, Failure> {
    let transport = Transport::parse(transport).ok_or("no such transport")?;
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = hash.get(2 * index..2 * index + 2).ok_or("the hash has not 64 digits")?;
        *byte = u8::from_str_radix(digits, 16)?;
    }
    let config = ClientConfig::default()
        .auto_connect(false)
        .engine(|engine| engine.transports([transport]).certificate_hashes([bytes]));
    let socket = Manager::with_config(url, config)?.socket("/");
    socket.connect().await?;
    Ok(socket)
}

async fn measure(
    socket: &Socket,
    name: &str,
    count: usize,
    interval: Duration,
) -> Result<(), Failure> {
    let payload = "x".repeat(100);
    let mut ticks = tokio::time::interval(interval.max(Duration::from_micros(1)));
    let mut running = tokio::task::JoinSet::new();
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..count {
        if interval.is_zero() {
            let sent = Instant::now();
            socket.emit_with_ack::<String>("echo", &payload).await?;
            times.push(sent.elapsed());
            continue;
        }
        ticks.tick().await;
        let (socket, payload) = (socket.clone(), payload.clone());
        running.spawn(async move {
            let sent = Instant::now();
            let result = socket.emit_with_ack::<String>("echo", &payload).await;
            result.map(|_| sent.elapsed())
        });
    }
    while let Some(ended) = running.join_next().await {
        times.push(ended??);
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: {count} in {:.2} s; ms p50 {:.1} p90 {:.1} p99 {:.1} p99.9 {:.1} max {:.1}",
        start.elapsed().as_secs_f64(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    Ok(())
}
