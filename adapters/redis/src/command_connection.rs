//! A connection for commands, which reconnects by itself.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, PushInfo, PushKind, RedisError, RedisResult, Value};
use socketio_adapter::AdapterError;
use tokio::{sync::watch, time::timeout};

use crate::conn::{Conn, Connector, OnPush, Target, is_fatal, timed_out};

/// Pauses between attempts to connect, in milliseconds. The last one repeats.
const PAUSES: [u64; 5] = [50, 100, 200, 500, 1000];

/// The pauses of successive attempts.
#[derive(Debug, Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}

/// Largest number of commands sent in one batch.
const MAX_BATCH: usize = 64;

/// A connection that all namespaces share. Without a connection, commands fail at once.
#[derive(Debug)]
pub(crate) struct CommandConnection {
    connector: Connector,
    target: Target,
    /// The connection with its number. A user that finds a connection broken must not discard its
    /// successor.
    state: watch::Sender<(u64, Option<Conn>)>,
}

/// There is no connection at the moment. Contains the reason if it is known.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to Redis{}", reason(.0.as_deref()))]
struct NotConnected(#[source] Option<Arc<RedisError>>);

fn reason(last_error: Option<&RedisError>) -> String {
    last_error.map(|error| format!(": {error}")).unwrap_or_default()
}

impl CommandConnection {
    pub(crate) fn new(connector: Connector, target: Target) -> Arc<Self> {
        Arc::new(Self { connector, target, state: watch::Sender::new((0, None)) })
    }

    /// Maintains the connection. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut changes = self.state.subscribe();
        loop {
            // The sender lives in `self`.
            let number = match changes.wait_for(|(_, conn)| conn.is_none()).await {
                Ok(state) => state.0 + 1,
                Err(_) => return,
            };
            let conn = connect(&self.connector, self.target, self.on_push(number)).await;
            self.state.send_replace((number, Some(conn)));
        }
    }

    /// Waits for a connection.
    pub(crate) async fn ready(&self) -> Result<(), AdapterError> {
        let mut changes = self.state.subscribe();
        let connected = changes.wait_for(|(_, conn)| conn.is_some());
        let limit = self.connector.timeouts().connection;
        timeout(limit, connected).await.map(drop).map_err(|_| self.not_connected())
    }

    pub(crate) async fn query(&self, cmd: &Cmd) -> Result<Value, AdapterError> {
        self.with(async |conn| conn.query(cmd).await).await
    }

    /// Returns how many commands [`query_all`](Self::query_all) sends in one batch. Commands to the
    /// nodes of a Redis Cluster are sent one by one.
    pub(crate) fn max_batch(&self) -> usize {
        if self.connector.is_cluster() && self.target == Target::EveryNode { 1 } else { MAX_BATCH }
    }

    /// Sends several commands in one batch. Returns their responses in the same order.
    pub(crate) async fn query_all(&self, cmds: Vec<Cmd>) -> Vec<Result<Value, AdapterError>> {
        let count = cmds.len();
        let responses = self.attempt(async |conn| {
            let responses = conn.query_all(cmds).await?;
            // If one error says that the connection is useless, the whole batch fails.
            match responses.iter().find_map(|it| it.as_ref().err().filter(|it| is_fatal(conn, it)))
            {
                Some(error) => Err(error.clone()),
                None => Ok(responses),
            }
        });
        match responses.await {
            Ok(responses) => {
                responses.into_iter().map(|response| response.map_err(engine)).collect()
            }
            Err(error) => (0..count).map(|_| Err(self.failure(error.clone()))).collect(),
        }
    }

    /// Sends a command to all nodes, or to all masters. Returns the sum of the numbers in their
    /// responses.
    pub(crate) async fn sum_of_nodes(
        &self,
        cmd: Cmd,
        masters: bool,
    ) -> Result<usize, AdapterError> {
        self.with(async |conn| conn.sum_of_nodes(cmd, masters).await).await
    }

    async fn with<T>(
        &self,
        command: impl AsyncFnOnce(&mut Conn) -> RedisResult<T>,
    ) -> Result<T, AdapterError> {
        self.attempt(command).await.map_err(|error| self.failure(error))
    }

    /// Runs a command. Returns `Err(None)` if there is no connection.
    async fn attempt<T>(
        &self,
        command: impl AsyncFnOnce(&mut Conn) -> RedisResult<T>,
    ) -> Result<T, Option<RedisError>> {
        let (number, conn) = self.state.borrow().clone();
        let mut conn = conn.ok_or(None)?;
        let limit = self.connector.timeouts().response + Duration::from_millis(100);
        let response = timeout(limit, command(&mut conn)).await;
        response.unwrap_or_else(|_| Err(timed_out())).map_err(|error| {
            if is_fatal(&conn, &error) {
                self.discard(number);
            }
            Some(error)
        })
    }

    fn failure(&self, error: Option<RedisError>) -> AdapterError {
        error.map_or_else(|| self.not_connected(), engine)
    }

    fn not_connected(&self) -> AdapterError {
        AdapterError::NotConnected(Box::new(NotConnected(self.connector.last_error())))
    }

    fn discard(&self, number: u64) {
        self.state.send_if_modified(|(current, conn)| {
            let lost = *current == number && conn.is_some();
            if lost {
                *conn = None;
            }
            lost
        });
    }

    /// Replaces a connection that breaks while it is idle, before the next command needs it.
    fn on_push(self: &Arc<Self>, number: u64) -> OnPush {
        let (connection, repairs_itself) = (Arc::downgrade(self), self.connector.is_cluster());
        let repairs_itself = repairs_itself && self.target == Target::EveryNode;
        Arc::new(move |info: PushInfo| {
            if info.kind == PushKind::Disconnection
                && !repairs_itself
                && let Some(connection) = Weak::upgrade(&connection)
            {
                connection.discard(number);
            }
        })
    }
}

/// Connects. Retries until it succeeds.
pub(crate) async fn connect(connector: &Connector, target: Target, on_push: OnPush) -> Conn {
    let mut pauses = Pauses::default();
    loop {
        match connector.connect(target, on_push.clone()).await {
            Ok(conn) => return conn,
            Err(error) => {
                tracing::warn!(target: "socketio::redis", %error, "cannot connect to Redis: retrying")
            }
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Wraps an error of Redis or of its connection.
pub(crate) fn engine(error: impl std::error::Error + Send + Sync + 'static) -> AdapterError {
    AdapterError::Engine(Box::new(error))
}

/// Returns the error for a response in an undocumented format.
pub(crate) fn unexpected(what: &'static str) -> AdapterError {
    engine(RedisError::from((redis::ErrorKind::UnexpectedReturnType, what)))
}
