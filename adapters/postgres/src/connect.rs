//! Connections to the database, whatever carries them.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use socketio_adapter::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{
    AsyncMessage, Client, Connection, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::error::PostgresError;

/// Makes connections. The kind of TLS is erased here.
pub(crate) trait Connect: Send + Sync {
    fn connect(&self) -> BoxFuture<'_, Result<(Client, Driver), tokio_postgres::Error>>;
}

pub(crate) struct Connector<T> {
    pub(crate) database: tokio_postgres::Config,
    pub(crate) tls: T,
}

impl<T> Connect for Connector<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self) -> BoxFuture<'_, Result<(Client, Driver), tokio_postgres::Error>> {
        Box::pin(async move {
            let (client, connection) = self.database.connect(self.tls.clone()).await?;
            Ok((client, Driver(Box::new(connection))))
        })
    }
}

/// The half of a connection that moves bytes: without it, nothing goes on.
pub(crate) struct Driver(Box<dyn Drive>);

impl Driver {
    /// What the database says of its own accord.
    pub(crate) async fn next(&mut self) -> Result<AsyncMessage, PostgresError> {
        match poll_fn(|cx| self.0.poll(cx)).await {
            Some(message) => Ok(message?),
            None => Err(PostgresError::Away),
        }
    }

    /// Moves bytes until the connection ends.
    pub(crate) async fn run(&mut self) -> PostgresError {
        loop {
            if let Err(error) = self.next().await {
                return error;
            }
        }
    }
}

trait Drive: Send {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>>;
}

impl<S, T> Drive for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> {
        self.poll_message(cx)
    }
}

/// Connects, or fails in time.
pub(crate) async fn connect(
    connect: &dyn Connect,
    timeout: Duration,
) -> Result<(Client, Driver), PostgresError> {
    let connected = tokio::time::timeout(timeout, connect.connect()).await;
    Ok(connected.map_err(|_| PostgresError::Timeout(timeout))??)
}

/// The pause before the next attempt: 1 to 3 s, so that nodes do not all come at once.
pub(crate) async fn pause() {
    let random = getrandom::u32().unwrap_or_default() % 2000;
    tokio::time::sleep(Duration::from_millis(1000 + u64::from(random))).await;
}
