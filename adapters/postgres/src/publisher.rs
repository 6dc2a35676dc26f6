//! The connection that speaks: notifications, the table's rows, and its cleaning.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use socketio_adapter::{Message, MessageError};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use tokio_postgres::{Client, types::Type};

use crate::{
    config::PostgresConfig,
    connect::{connect, pause},
    error::PostgresError,
    table,
    wire::{Form, form},
};

/// Publishes messages to all nodes of their namespaces. It has one connection, which is made again for ever, after a pause of 1
/// to 3 s each time, and closed when the publisher is dropped.
///
/// Servers have one inside their adapter; programs without a server use `socketio-emitter`, which is made of it.
#[derive(Debug)]
pub struct Publisher {
    config: PostgresConfig,
    client: watch::Receiver<Option<Arc<Client>>>,
    refusal: Refusal,
    broken: Arc<Notify>,
    task: AbortHandle,
}

/// Why there is no connection. There may be one again before this is forgotten.
type Refusal = Arc<Mutex<Option<Arc<PostgresError>>>>;

impl Publisher {
    /// Begins to connect. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The configuration names a table or a prefix that PostgreSQL does not take.
    pub fn start(config: PostgresConfig) -> Result<Self, PostgresError> {
        config.check()?;
        Ok(Self::begin(config))
    }

    /// With a configuration that was checked.
    pub(crate) fn begin(config: PostgresConfig) -> Self {
        let (sender, client) = watch::channel(None);
        let (refusal, broken) = (Refusal::default(), Arc::new(Notify::new()));
        let connected = stay_connected(config.clone(), sender, refusal.clone(), broken.clone());
        let task = tokio::spawn(connected).abort_handle();
        Self { config, client, refusal, broken, task }
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    ///
    /// There is none within the configured timeout.
    pub async fn connected(&self) -> Result<(), PostgresError> {
        let connected = tokio::time::timeout(self.config.timeout, self.wait()).await;
        connected.map_err(|_| self.away())?.map(drop)
    }

    /// Publishes a message. Resolves when the database has it; what is published one after the other arrives in that order.
    ///
    /// # Errors
    ///
    /// At once where there is no connection, or the message has no form that PostgreSQL takes; otherwise where the database
    /// refuses, or does not answer in time. Nobody tries again.
    pub async fn publish(&self, message: &Message) -> Result<(), PostgresError> {
        let channel = self.config.channel(message.nsp.as_str())?;
        let form = form(message, self.config.payload_threshold, &self.config.limits)?;
        let client = self.client.borrow().clone().ok_or(PostgresError::Away)?;
        let sent = async {
            match &form {
                Form::Inline(json) => notify(&client, &channel, json).await,
                Form::Attached { payload, before, after } => {
                    let table = &self.config.table;
                    table::announce(&client, table, &channel, payload, (before, after)).await
                }
            }
        };
        self.in_time(sent).await
    }

    /// What lies in the table under an id.
    pub(crate) async fn fetch(
        &self,
        id: i64,
    ) -> Result<Result<Bytes, MessageError>, PostgresError> {
        let fetched = async {
            let client = self.wait().await?;
            table::fetch(&client, &self.config.table, id, &self.config.limits).await
        };
        self.in_time(fetched).await
    }

    /// Why there was no connection when one was wanted last.
    pub(crate) fn away(&self) -> PostgresError {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        refusal.map_or(PostgresError::Away, PostgresError::Lost)
    }

    async fn wait(&self) -> Result<Arc<Client>, PostgresError> {
        let mut client = self.client.clone();
        let found = client.wait_for(Option::is_some).await;
        found.ok().and_then(|client| client.clone()).ok_or(PostgresError::Away)
    }

    /// A connection on which an answer is late is given up: whoever comes next is told at once that there is none.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let done = tokio::time::timeout(self.config.timeout, work).await;
        done.unwrap_or_else(|_| {
            if self.client.borrow().is_some() {
                self.broken.notify_waiters();
            }
            Err(PostgresError::Timeout(self.config.timeout))
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn notify(client: &Client, channel: &str, payload: &str) -> Result<(), PostgresError> {
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&channel, Type::TEXT), (&payload, Type::TEXT)];
    client.query_typed("SELECT pg_notify($1, $2)", &params).await?;
    Ok(())
}

async fn stay_connected(
    config: PostgresConfig,
    clients: watch::Sender<Option<Arc<Client>>>,
    refusal: Refusal,
    broken: Arc<Notify>,
) {
    loop {
        let error = tokio::select! {
            error = session(&config, &clients) => error,
            () = broken.notified() => PostgresError::Timeout(config.timeout),
        };
        tracing::warn!(target: "socketio::cluster", %error, "no connection that publishes");
        *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
        clients.send_replace(None);
        pause().await;
    }
}

/// From the connection's beginning to its end.
async fn session(
    config: &PostgresConfig,
    clients: &watch::Sender<Option<Arc<Client>>>,
) -> PostgresError {
    let (client, mut driver) = match connect(&*config.connect, config.timeout).await {
        Ok(connected) => connected,
        Err(error) => return error,
    };
    let client = Arc::new(client);
    let mut upkeep = pin!(upkeep(config, client, clients));
    tokio::select! {
        error = driver.run() => error,
        error = &mut upkeep => error,
    }
}

/// Makes the table, hands the client out, then cleans up for ever.
async fn upkeep(
    config: &PostgresConfig,
    client: Arc<Client>,
    clients: &watch::Sender<Option<Arc<Client>>>,
) -> PostgresError {
    let begin = async {
        // Notifications outlive no crash, so nobody has to wait for the disk on their account.
        client.batch_execute("SET synchronous_commit = off").await?;
        if let Err(error) = table::create(&client, config).await {
            tracing::warn!(target: "socketio::cluster", %error, "no table for large and binary messages");
        }
        Ok::<_, PostgresError>(())
    };
    match tokio::time::timeout(config.timeout, begin).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return error,
        Err(_) => return PostgresError::Timeout(config.timeout),
    }
    clients.send_replace(Some(client.clone()));
    loop {
        tokio::time::sleep(config.cleanup_interval).await;
        if let Err(error) = sweep(config, &client).await {
            tracing::warn!(target: "socketio::cluster", %error, "old attachments are still there");
            if client.is_closed() || matches!(error, PostgresError::Timeout(_)) {
                return error;
            }
        }
    }
}

async fn sweep(config: &PostgresConfig, client: &Client) -> Result<(), PostgresError> {
    // Longer than what others wait for on this connection: it is not to be given up for its own work.
    let patience = config.timeout.saturating_mul(2).max(Duration::from_secs(1));
    let swept = table::sweep(client, &config.table, config.cleanup_interval);
    let swept = tokio::time::timeout(patience, swept).await;
    swept.unwrap_or(Err(PostgresError::Timeout(patience)))
}
