//! Connections to the database, with and without TLS.

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

/// Opens connections. Hides the type of the TLS connector.
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

/// The half of a connection that does the I/O. The client makes progress only while this is polled.
pub(crate) struct Driver(Box<dyn DriveConnection>);

impl Driver {
    /// Returns the next message that the database sends unasked, such as a notification.
    pub(crate) async fn next(&mut self) -> Result<AsyncMessage, PostgresError> {
        match poll_fn(|cx| self.0.poll(cx)).await {
            Some(message) => Ok(message?),
            None => Err(PostgresError::NotConnected),
        }
    }

    /// Does the I/O until the connection ends.
    pub(crate) async fn run(&mut self) -> PostgresError {
        loop {
            if let Err(error) = self.next().await {
                return error;
            }
        }
    }
}

trait DriveConnection: Send {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>>;
}

impl<S, T> DriveConnection for Connection<S, T>
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

/// Connects within `timeout`.
pub(crate) async fn connect(
    connect: &dyn Connect,
    timeout: Duration,
) -> Result<(Client, Driver), PostgresError> {
    let connected = tokio::time::timeout(timeout, connect.connect()).await;
    Ok(connected.map_err(|_| PostgresError::Timeout(timeout))??)
}

/// Waits 1 to 3 s before the next attempt. The random time keeps nodes from reconnecting all at
/// once.
pub(crate) async fn retry_pause() {
    let random = getrandom::u32().unwrap_or_default() % 2000;
    tokio::time::sleep(Duration::from_millis(1000 + u64::from(random))).await;
}
