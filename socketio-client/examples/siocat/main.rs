//! Talks with a Socket.IO server from the command line.
//!
//! ```sh
//! cargo run -p socketio-async-client --example siocat -- --help
//! ```

mod input;
mod options;
mod output;

use std::{
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use socketio_client::{
    Ack, Args, ClientConfig, ConnectError, DisconnectReason, Manager, Proxy, Reconnection, Socket,
};
use tokio::sync::mpsc;

use self::{options::Options, output::Output};

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("siocat: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("siocat: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(options));
    // A thread may still be reading the standard input. Do not wait for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("siocat: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), AnyError> {
    let output = Arc::new(Output::new(&options));
    let manager = Manager::with_config(&options.url, config(&options)?)?;
    let path = manager.nsp().clone();
    let socket = manager.socket(path.as_str());
    let (done, mut finished) = mpsc::channel(1);
    let listening = options.listen || options.event.is_none();
    let others = options.namespaces.iter().map(|nsp| manager.socket(nsp));
    let sockets: Vec<_> = std::iter::once(socket.clone()).chain(others).collect();
    for socket in &sockets {
        listen(socket, &options, listening, &output, &done);
    }
    for socket in &sockets {
        match socket.connect().await {
            Ok(()) => {}
            // The client tries again, and the listeners print what happens.
            Err(ConnectError::Transport(_) | ConnectError::Timeout) if options.reconnect => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some((event, args)) = &options.event {
        // Without this wait, the program could exit before there is a connection, and lose the
        // event.
        let connecting = tokio::time::timeout(options.timeout, connected(&socket));
        connecting
            .await
            .map_err(|_| format!("{event} was not sent: no connection within the timeout"))??;
        if options.ack {
            let answer = input::ask(&socket, event, args, options.timeout).await?;
            output.answer(path.as_str(), event, answer);
        } else {
            socket.emit(event, args)?;
        }
    }
    if listening {
        let lines = input::lines(socket.clone(), output.clone(), options.timeout);
        tokio::select! {
            result = finished.recv() => result.unwrap_or(Ok(()))?,
            () = lines => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    for socket in &sockets {
        socket.disconnect();
    }
    // Queued events are sent first.
    manager.closed().await;
    Ok(())
}

/// Formats an error with all its sources.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Waits until the socket is connected, also across further attempts.
async fn connected(socket: &Socket) -> Result<(), ConnectError> {
    loop {
        match socket.connect().await {
            Err(ConnectError::Transport(_) | ConnectError::Timeout | ConnectError::Closed(_))
                if socket.is_active() => {}
            result => return result,
        }
    }
}

fn config(options: &Options) -> Result<ClientConfig, AnyError> {
    let reconnection =
        if options.reconnect { Reconnection::default() } else { Reconnection::off() };
    let via_environment = options.proxy.as_deref() == Some("env");
    let proxy = options.proxy.as_deref().filter(|_| !via_environment);
    let proxy = proxy.map(Proxy::new).transpose()?;
    let mut config = ClientConfig::default()
        .auto_connect(false)
        .connect_timeout(options.timeout)
        .reconnection(reconnection)
        .parser(options.parser)
        .engine(|engine| {
            let engine = match (proxy, via_environment) {
                (Some(proxy), _) => engine.proxy(proxy),
                (None, true) => engine.proxy_from_env(),
                (None, false) => engine,
            };
            let mut engine = engine.headers(options.headers.clone());
            for (key, value) in &options.query {
                engine = engine.query(key, value);
            }
            if let Some(path) = &options.path {
                engine = engine.path(path);
            }
            if options.transports.is_empty() {
                engine
            } else {
                engine.transports(options.transports.iter().copied())
            }
        });
    if let Some(auth) = options.auth.clone() {
        options::auth(&auth)?;
        config = config.socket(|socket| {
            socket.auth_with(move || std::future::ready(options::auth(&auth).map_err(Into::into)))
        });
    }
    Ok(config)
}

/// Prints the events of a namespace.
fn listen(
    socket: &Socket,
    options: &Options,
    listening: bool,
    output: &Arc<Output>,
    done: &mpsc::Sender<Result<(), AnyError>>,
) {
    let nsp = Arc::new(socket.nsp().clone());
    let note = |what: &'static str| {
        let (output, nsp) = (output.clone(), nsp.clone());
        move |text: &str| output.note(nsp.as_str(), what, text)
    };
    if listening {
        let noted = note("connected");
        socket.on_connect(move |socket: Socket| {
            noted(&socket.id().unwrap_or_default());
            async {}
        });
        let (printing, nsp, reply) = (output.clone(), nsp.clone(), options.reply.clone());
        let (done, left) = (done.clone(), Mutex::new(options.count));
        socket.on_any(move |args: Args, ack: Ack| {
            printing.event(nsp.as_str(), &args);
            if let Ok(mut left) = left.lock()
                && let Some(left) = left.as_mut()
            {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    let _ = done.try_send(Ok(()));
                }
            }
            let reply = reply.clone();
            async move {
                if let Some(reply) = &reply {
                    ack.send(reply)?;
                }
                Ok(())
            }
        });
    }
    let noted = note("connect_error");
    socket.on_connect_error(move |error: ConnectError| {
        noted(&chain(&error));
        async {}
    });
    let (noted, done, reconnect) = (note("disconnected"), done.clone(), options.reconnect);
    socket.on_disconnect(move |reason: DisconnectReason| {
        noted(&reason.to_string());
        let for_good = reason == DisconnectReason::IoServerDisconnect;
        if for_good || (!reconnect && reason != DisconnectReason::IoClientDisconnect) {
            let _ = done.try_send(Err(reason.to_string().into()));
        }
        async {}
    });
}
