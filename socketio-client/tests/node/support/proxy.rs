//! A proxy between client and server whose line can be cut in several ways.

use std::pin::pin;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The treatment of open and new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Passes,
    /// All data stops in both directions, without telling the ends.
    Stalls,
    /// Both ends are reset.
    Resets,
    /// The server's end is reset, and the client's end stays open and silent, as with a router that
    /// forgets a connection.
    HalfOpen,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, state) = watch::channel(Line::Passes);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, to, state.clone()));
            }
        });
        Self { port, line, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, to: u16, mut line: watch::Receiver<Line>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    {
        let mut copying = pin!(copy_bidirectional(&mut client, &mut server));
        loop {
            let now = *line.borrow_and_update();
            let changed = match now {
                Line::Passes => tokio::select! {
                    _ = &mut copying => return,
                    changed = line.changed() => changed,
                },
                Line::Stalls => line.changed().await,
                Line::Resets | Line::HalfOpen => break,
            };
            if changed.is_err() {
                return;
            }
        }
    }
    reset(server);
    if *line.borrow() == Line::HalfOpen {
        // Stays open until the proxy is dropped.
        while line.changed().await.is_ok() {}
    } else {
        reset(client);
    }
}

#[allow(deprecated, reason = "it blocks for a linger above zero only")]
fn reset(stream: TcpStream) {
    let _ = stream.set_linger(Some(std::time::Duration::ZERO));
}
