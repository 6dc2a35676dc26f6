//! The publishing connection: sends notifications, inserts rows, and deletes old ones.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
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
    connect::{connect, retry_pause},
    error::PostgresError,
    sync::lock,
    table,
    wire::{Form, choose_form},
};

/// Publishes messages to all nodes of their namespaces. It has one connection, which reconnects
/// forever, 1 to 3 s after each loss, and is closed when the publisher is dropped.
///
/// The adapter of a server contains one. Programs without a server use `socketio-emitter`, which is
/// built on it.
#[derive(Debug)]
pub struct Publisher {
    config: PostgresConfig,
    client: watch::Receiver<Option<Arc<Client>>>,
    refusal: Refusal,
    broken: Arc<Notify>,
    task: AbortHandle,
}

/// The reason of the last connection loss. It is kept after reconnecting.
type Refusal = Arc<Mutex<Option<Arc<PostgresError>>>>;

impl Publisher {
    /// Starts to connect. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if PostgreSQL does not accept the configured name of the table or the
    /// prefix of the channels.
    pub fn start(config: PostgresConfig) -> Result<Self, PostgresError> {
        config.check()?;
        Ok(Self::spawn(config))
    }

    /// Starts with a configuration that has been checked.
    pub(crate) fn spawn(config: PostgresConfig) -> Self {
        let (sender, client) = watch::channel(None);
        let (refusal, broken) = (Refusal::default(), Arc::new(Notify::new()));
        let connected = stay_connected(config.clone(), sender, refusal.clone(), broken.clone());
        let task = tokio::spawn(connected).abort_handle();
        Self { config, client, refusal, broken, task }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none within the configured timeout.
    pub async fn connected(&self) -> Result<(), PostgresError> {
        let connected = tokio::time::timeout(self.config.timeout, self.wait()).await;
        connected.map_err(|_| self.not_connected())?.map(drop)
    }

    /// Publishes a message. Resolves when the database has accepted it. Messages that are published
    /// one after another arrive in that order.
    ///
    /// # Errors
    ///
    /// Returns an error at once if there is no connection, or if PostgreSQL cannot carry the
    /// message. Otherwise returns an error if the database refuses or does not respond in time.
    /// Publishing is not retried.
    pub async fn publish(&self, message: &Message) -> Result<(), PostgresError> {
        let channel = self.config.channel(message.nsp.as_str())?;
        let form = choose_form(message, self.config.payload_threshold, &self.config.limits)?;
        let client = self.client.borrow().clone().ok_or(PostgresError::Away)?;
        let sent = async {
            match &form {
                Form::Inline(json) => notify(&client, &channel, json).await,
                Form::Attached { payload, before, after } => {
                    let table = &self.config.table;
                    table::insert_and_notify(&client, table, &channel, payload, (before, after))
                        .await
                }
            }
        };
        self.with_timeout(sent).await
    }

    /// Fetches the message with this id from the table.
    pub(crate) async fn fetch(
        &self,
        id: i64,
    ) -> Result<Result<Bytes, MessageError>, PostgresError> {
        let fetched = async {
            let client = self.wait().await?;
            table::fetch(&client, &self.config.table, id, &self.config.limits).await
        };
        self.with_timeout(fetched).await
    }

    /// Returns why there is no connection.
    pub(crate) fn not_connected(&self) -> PostgresError {
        let refusal = lock(&self.refusal).clone();
        refusal.map_or(PostgresError::Away, PostgresError::Lost)
    }

    async fn wait(&self) -> Result<Arc<Client>, PostgresError> {
        let mut client = self.client.clone();
        let found = client.wait_for(Option::is_some).await;
        found.ok().and_then(|client| client.clone()).ok_or(PostgresError::Away)
    }

    /// Limits the time of a request. If a response is late, the connection is closed, so that the
    /// next request fails at once.
    async fn with_timeout<T>(
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
        tracing::warn!(target: "socketio::cluster", %error, "the publishing connection is lost");
        *lock(&refusal) = Some(Arc::new(error));
        clients.send_replace(None);
        retry_pause().await;
    }
}

/// Runs one connection until it ends.
async fn session(
    config: &PostgresConfig,
    clients: &watch::Sender<Option<Arc<Client>>>,
) -> PostgresError {
    let (client, mut driver) = match connect(&*config.connect, config.timeout).await {
        Ok(connected) => connected,
        Err(error) => return error,
    };
    let client = Arc::new(client);
    let mut maintain = pin!(maintain(config, client, clients));
    tokio::select! {
        error = driver.run() => error,
        error = &mut maintain => error,
    }
}

/// Creates the table, makes the client available, then deletes old rows forever.
async fn maintain(
    config: &PostgresConfig,
    client: Arc<Client>,
    clients: &watch::Sender<Option<Arc<Client>>>,
) -> PostgresError {
    let begin = async {
        // Notifications do not survive a crash, so waiting for the disk is useless.
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
        if let Err(error) = delete_old(config, &client).await {
            tracing::warn!(target: "socketio::cluster", %error, "cannot delete old attachments");
            if client.is_closed() || matches!(error, PostgresError::Timeout(_)) {
                return error;
            }
        }
    }
}

async fn delete_old(config: &PostgresConfig, client: &Client) -> Result<(), PostgresError> {
    // This limit is longer than that of other requests, so that a slow cleanup does not close the
    // connection.
    let timeout = config.timeout.saturating_mul(2).max(Duration::from_secs(1));
    let swept = table::delete_old(client, &config.table, config.cleanup_interval);
    let swept = tokio::time::timeout(timeout, swept).await;
    swept.unwrap_or(Err(PostgresError::Timeout(timeout)))
}
