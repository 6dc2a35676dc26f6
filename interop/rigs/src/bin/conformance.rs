//! The server for protocol suites and third-party clients.
//!
//! `/engine.io/` is an Engine.IO echo server, `/socket.io/` a Socket.IO server with the namespaces
//! `/` and `/custom`. Environment: `PORT` (3000), `PING_INTERVAL` (300 ms), `PING_TIMEOUT` (200
//! ms), `MAX_PAYLOAD` (1000000 bytes), `BODY_TIMEOUT` (30000 ms), `ALLOW_EIO3` (`1` also serves
//! protocol revision 3), `PARSER` (`json` or `msgpack`), `PER_MESSAGE_DEFLATE` (`1` compresses
//! WebSocket messages, `contexts` also keeps contexts), `RECOVERY` (`1` enables connection state
//! recovery), `CORS_ORIGIN` (the only origin whose pages may connect, also with credentials),
//! `WEBTRANSPORT` (`1` enables the transport), `CERTIFICATE` (a folder: also listens for WebTransport,
//! with the certificate `cert.der` and the key `key.der` there, which are created if they are missing),
//! `ALT_SVC` (a port to announce for WebTransport; TCP then uses TLS, with the same certificate).
//! Prints a line with `LISTENING` when it accepts connections. Ends on SIGTERM.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engineio_server::{
    Connection, Cors, Engine, EngineConfig, EngineService, PerMessageDeflate, serve, serve_tls,
};
use serde_json::json;
use socketio_server::{
    Ack, Args, HandlerError, Namespace, Parser, Recovery, Server, ServerConfig, Socket, Transport,
    Values, rustls,
};
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tower_layer::Layer;

struct Settings {
    port: u16,
    ping_interval: Duration,
    ping_timeout: Duration,
    max_payload: usize,
    body_timeout: Duration,
    allow_eio3: bool,
    recovery: bool,
    parser: Parser,
    per_message_deflate: Option<PerMessageDeflate>,
    cors_origin: Option<String>,
    webtransport: bool,
    certificate: Option<PathBuf>,
    alt_svc: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("conformance: {message}");
            return ExitCode::FAILURE;
        }
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> io::Result<()> {
    let echo = Engine::new(
        settings.engine(EngineConfig::default()),
        |mut connection: Connection| async move {
            while let Ok(data) = connection.recv().await {
                if connection.send(data).is_err() {
                    break;
                }
            }
        },
    );
    let mut config = ServerConfig::default().parser(settings.parser);
    if settings.recovery {
        config = config.connection_state_recovery(Recovery::default());
    }
    let io = Server::with_config(config.engine(|engine| settings.engine(engine)));
    for namespace in [io.of("/"), io.of("/custom")] {
        declare(&namespace);
    }
    let service: EngineService<EngineService> = io.layer().layer(echo.service());

    let tls = match &settings.certificate {
        Some(folder) => Some(Arc::new(tls(folder).map_err(io::Error::other)?)),
        None => None,
    };
    let secure = tls.as_ref().filter(|_| settings.alt_svc > 0);
    // `localhost` resolves to either address family.
    let mut listening = Vec::new();
    for address in ["127.0.0.1", "::1"] {
        match TcpListener::bind((address, settings.port)).await {
            Ok(listener) => listening.push(match secure {
                Some(tls) => serve_tls(listener, tls.clone(), service.clone(), echo.config()),
                None => serve(listener, service.clone(), echo.config()),
            }),
            Err(error) if address == "127.0.0.1" => return Err(error),
            Err(_) => {} // no IPv6 here
        }
    }
    let webtransport = match tls {
        Some(tls) => Some(io.bind_webtransport(("127.0.0.1", settings.port), tls).await?),
        None => None,
    };
    println!("LISTENING on port {}", settings.port);
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    terminate.recv().await;
    io.close();
    echo.close();
    io.ended().await;
    listening.iter().chain(&webtransport).for_each(engineio_server::Listening::stop);
    Ok(())
}

/// Reads the certificate in a folder, or creates one that browsers accept by its hash: for at most 14
/// days, with a key on the curve P-256.
fn tls(folder: &Path) -> Result<rustls::ServerConfig, Box<dyn Error + Send + Sync>> {
    let (cert, key) = (folder.join("cert.der"), folder.join("key.der"));
    if !cert.exists() {
        let pair = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()])?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let day = Duration::from_secs(24 * 3600);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970 - day;
        params.not_after = params.not_before + 13 * day;
        fs::write(&key, pair.serialize_der())?;
        fs::write(&cert, params.self_signed(&pair)?.der())?;
    }
    let (cert, key) = (fs::read(cert)?, fs::read(key)?);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key);
    // Named explicitly, because other crates of the workspace enable another provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.into()], key.into())?;
    Ok(tls)
}

fn declare(namespace: &Namespace) {
    namespace.on_connection(|socket: Socket| async move {
        let auth: serde_json::Value = socket.auth()?;
        let auth = if auth.is_null() { json!({}) } else { auth };
        socket.emit("auth", &auth)?;
        Ok(())
    });
    namespace.on("message", |socket: Socket, args: Args| async move {
        socket.emit("message-back", &args)?;
        Ok(())
    });
    namespace.on("message-with-ack", |args: Args, ack: Ack| async move {
        ack.send(&args)?;
        Ok(())
    });
    // Fails, often because the outgoing queue is full.
    namespace.on("emit-much-and-fail", |socket: Socket| async move {
        tokio::task::yield_now().await;
        for number in 0..300 {
            socket.emit("number", &number)?;
        }
        Err::<(), _>(HandlerError::public("failed"))
    });
    namespace.on("emit-with-ack", |socket: Socket, args: Args| async move {
        let answer: Values = socket.emit_with_ack("emit-with-ack", &args).await?;
        socket.emit("emit-with-ack", &answer)?;
        Ok::<_, HandlerError>(())
    });
}

impl Settings {
    fn read() -> Result<Self, String> {
        Ok(Self {
            port: number("PORT", 3000)?,
            ping_interval: Duration::from_millis(number("PING_INTERVAL", 300)?),
            ping_timeout: Duration::from_millis(number("PING_TIMEOUT", 200)?),
            max_payload: number("MAX_PAYLOAD", 1_000_000)?,
            body_timeout: Duration::from_millis(number("BODY_TIMEOUT", 30_000)?),
            allow_eio3: number("ALLOW_EIO3", 0_u8)? == 1,
            recovery: number("RECOVERY", 0_u8)? == 1,
            parser: parser()?,
            per_message_deflate: per_message_deflate()?,
            cors_origin: env::var("CORS_ORIGIN").ok(),
            webtransport: number("WEBTRANSPORT", 0_u8)? == 1,
            certificate: env::var_os("CERTIFICATE").map(PathBuf::from),
            alt_svc: number("ALT_SVC", 0)?,
        })
    }

    fn engine(&self, config: EngineConfig) -> EngineConfig {
        let config = match &self.cors_origin {
            Some(origin) => config.cors(Cors::origins([origin]).credentials(true)),
            None => config,
        };
        let config = match self.alt_svc {
            0 => config,
            port => config.alt_svc(port, Duration::from_secs(3600)),
        };
        let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
        let transports = if self.webtransport { &transports[..] } else { &transports[..2] };
        config
            .transports(transports)
            .ping_interval(self.ping_interval)
            .ping_timeout(self.ping_timeout)
            .max_payload(self.max_payload)
            .body_timeout(self.body_timeout)
            .allow_eio3(self.allow_eio3)
            .per_message_deflate(self.per_message_deflate.clone())
            // As Node's server, unless a test names the pages' origin.
            .jsonp(true)
            .check_origin(self.cors_origin.is_some())
    }
}

fn parser() -> Result<Parser, String> {
    match env::var("PARSER").as_deref() {
        Err(_) | Ok("" | "json") => Ok(Parser::Json),
        Ok("msgpack") => Ok(Parser::MsgPack),
        Ok(other) => Err(format!("PARSER={other} is not known here")),
    }
}

fn per_message_deflate() -> Result<Option<PerMessageDeflate>, String> {
    let deflate = PerMessageDeflate::default();
    match env::var("PER_MESSAGE_DEFLATE").as_deref() {
        Err(_) | Ok("" | "0") => Ok(None),
        Ok("1") => Ok(Some(deflate)),
        Ok("contexts") => {
            Ok(Some(deflate.server_no_context_takeover(false).client_no_context_takeover(false)))
        }
        Ok(other) => Err(format!("PER_MESSAGE_DEFLATE={other} is not known")),
    }
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}={text} is not a valid number")),
        Err(_) => Ok(default),
    }
}
