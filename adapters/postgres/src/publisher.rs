//! The publishing connection: sends notifications, inserts rows, and deletes old ones.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use socketio_adapter::{
    ClusterLimits, Message, MessageError,
    internal::{is_logged, lock},
    recovery::PageSize,
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use tokio_postgres::{Client, types::Type};

use crate::{
    config::PostgresConfig,
    connect::{connect, retry_pause},
    error::PostgresError,
    recovery::{Log, Row},
    table,
    wire::{Form, MAX_OFFSET, choose_form},
};

/// Publishes messages to all nodes of their namespaces. It has one connection, which reconnects
/// forever, 1 to 3 s after each loss, and is closed when the publisher is dropped.
///
/// The adapter of a server contains one. Programs without a server use `socketio-emitter`, which is
/// built on it.
#[derive(Debug)]
pub struct Publisher {
    config: PostgresConfig,
    connected: watch::Receiver<Option<Connected>>,
    refusal: Refusal,
    broken: Arc<Notify>,
    task: AbortHandle,
}

/// A connection, and the log over it if there is one.
#[derive(Clone, Debug)]
struct Connected {
    client: Arc<Client>,
    log: Option<Log>,
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
        let (sender, connected) = watch::channel(None);
        let (refusal, broken) = (Refusal::default(), Arc::new(Notify::new()));
        let connecting = stay_connected(config.clone(), sender, refusal.clone(), broken.clone());
        let task = tokio::spawn(connecting).abort_handle();
        Self { config, connected, refusal, broken, task }
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
        self.send(message).await.map(drop)
    }

    /// Publishes a message like [`publish`](Self::publish). Returns its offset if it is in the log.
    pub(crate) async fn send(&self, message: &Message) -> Result<Option<i64>, PostgresError> {
        let PostgresConfig { table, payload_threshold, limits, .. } = &self.config;
        let nsp = message.nsp.as_str();
        let channel = self.config.channel(nsp)?;
        let connected = self.connected.borrow().clone();
        let Connected { client, log } = connected.ok_or(PostgresError::NotConnected)?;
        let log = log.filter(|_| is_logged(&message.body));
        let offset = if log.is_some() { MAX_OFFSET } else { 0 };
        let form = choose_form(message, *payload_threshold, offset, limits)?;
        let sent = async {
            match (&form, log) {
                (Form::Inline(json), None) => notify(&client, &channel, json).await.map(|()| None),
                (Form::Inline(json), Some(log)) => {
                    let members = json.get(1..).unwrap_or_default();
                    log.append_inline(nsp, &channel, members).await.map(Some)
                }
                (Form::Attached { payload, before, after }, None) => {
                    let header = (&**before, *after);
                    let sent = table::insert_and_notify(&client, table, &channel, payload, header);
                    sent.await.map(|()| None)
                }
                (Form::Attached { payload, before, after }, Some(log)) => {
                    let members = (before.get(1..).unwrap_or_default(), *after);
                    log.append_attached(nsp, &channel, payload, table, members).await.map(Some)
                }
            }
        };
        self.with_timeout(sent).await
    }

    pub(crate) fn limits(&self) -> &ClusterLimits {
        &self.config.limits
    }

    /// Waits for a connection, and returns the log over it.
    pub(crate) async fn log(&self) -> Result<Log, PostgresError> {
        self.wait().await?.log.ok_or(PostgresError::NotConnected)
    }

    /// Reads a page of the log, which begins with the entry `from`.
    pub(crate) async fn read(
        &self,
        nsp: &str,
        from: i64,
        size: PageSize,
    ) -> Result<Vec<Row>, PostgresError> {
        let limits = self.limits();
        self.with_timeout(async { self.log().await?.read(nsp, from, size, limits).await }).await
    }

    /// Fetches the message with this id from the table.
    pub(crate) async fn fetch(
        &self,
        id: i64,
    ) -> Result<Result<Bytes, MessageError>, PostgresError> {
        let fetched = async {
            let client = self.wait().await?.client;
            table::fetch(&client, &self.config.table, id, &self.config.limits).await
        };
        self.with_timeout(fetched).await
    }

    /// Returns why there is no connection.
    pub(crate) fn not_connected(&self) -> PostgresError {
        let refusal = lock(&self.refusal).clone();
        refusal.map_or(PostgresError::NotConnected, PostgresError::ConnectFailed)
    }

    async fn wait(&self) -> Result<Connected, PostgresError> {
        let mut connected = self.connected.clone();
        let found = connected.wait_for(Option::is_some).await;
        found.ok().and_then(|connected| connected.clone()).ok_or(PostgresError::NotConnected)
    }

    /// Limits the time of a request. If a response is late, the connection is closed, so that the
    /// next request fails at once.
    pub(crate) async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let done = tokio::time::timeout(self.config.timeout, work).await;
        done.unwrap_or_else(|_| {
            if self.connected.borrow().is_some() {
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
    connected: watch::Sender<Option<Connected>>,
    refusal: Refusal,
    broken: Arc<Notify>,
) {
    loop {
        let error = tokio::select! {
            error = session(&config, &connected) => error,
            () = broken.notified() => PostgresError::Timeout(config.timeout),
        };
        tracing::warn!(target: "socketio::cluster", %error, "the publishing connection is lost: reconnecting");
        *lock(&refusal) = Some(Arc::new(error));
        connected.send_replace(None);
        retry_pause().await;
    }
}

/// Runs one connection until it ends.
async fn session(
    config: &PostgresConfig,
    connected: &watch::Sender<Option<Connected>>,
) -> PostgresError {
    let (client, mut driver) = match connect(&*config.connect, config.timeout).await {
        Ok(connected) => connected,
        Err(error) => return error,
    };
    let mut maintain = pin!(maintain(config, client.into(), connected));
    tokio::select! {
        error = driver.run() => error,
        error = &mut maintain => error,
    }
}

/// Creates the table, makes the client available, then deletes old rows forever.
async fn maintain(
    config: &PostgresConfig,
    client: Arc<Client>,
    connected: &watch::Sender<Option<Connected>>,
) -> PostgresError {
    let log = config.log.clone().map(|options| Log::new(client.clone(), options));
    let begin = async {
        // Notifications do not survive a crash, so waiting for the disk is useless. A lock that
        // takes too long is reported while the connection is still usable.
        let settings = format!(
            "SET synchronous_commit = off; SET lock_timeout = {}",
            (config.timeout / 2).as_millis().clamp(1, 1_000_000_000)
        );
        client.batch_execute(&settings).await?;
        if let Err(error) = table::create(&client, config).await {
            tracing::warn!(target: "socketio::cluster", %error, "cannot create the table for large and binary messages");
        }
        if let Some(log) = log.as_ref().filter(|_| config.create_table)
            && let Err(error) = log.create().await
        {
            tracing::warn!(target: "socketio::cluster", %error, "cannot create the tables for connection state recovery");
        }
        Ok::<_, PostgresError>(())
    };
    match tokio::time::timeout(config.timeout, begin).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return error,
        Err(_) => return PostgresError::Timeout(config.timeout),
    }
    connected.send_replace(Some(Connected { client: client.clone(), log: log.clone() }));
    loop {
        tokio::time::sleep(config.cleanup_interval).await;
        if let Err(error) = delete_old(config, &client, log.as_ref()).await {
            tracing::warn!(target: "socketio::cluster", %error, "cannot delete old rows");
            if client.is_closed() || matches!(error, PostgresError::Timeout(_)) {
                return error;
            }
        }
    }
}

async fn delete_old(
    config: &PostgresConfig,
    client: &Client,
    log: Option<&Log>,
) -> Result<(), PostgresError> {
    // This limit is longer than that of other requests, so that a slow cleanup does not close the
    // connection.
    let timeout = config.timeout.saturating_mul(2).max(Duration::from_secs(1));
    let deleted = async {
        let attachments = table::delete_old(client, &config.table, config.cleanup_interval).await;
        match log {
            Some(log) => log.delete_old().await.and(attachments),
            None => attachments,
        }
    };
    let deleted = tokio::time::timeout(timeout, deleted).await;
    deleted.unwrap_or(Err(PostgresError::Timeout(timeout)))
}
