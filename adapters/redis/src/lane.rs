//! A connection for commands, made again whenever it is lost.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, PushInfo, PushKind, RedisError, RedisResult, Value};
use socketio_adapter::AdapterError;
use tokio::{sync::watch, time::timeout};

use crate::conn::{Conn, Dial, OnPush, Reach, breaks, timed_out};

/// Pauses between attempts to connect, from the first to the longest.
const PAUSES: [u64; 5] = [50, 100, 200, 500, 1000];

/// The pauses that are next.
#[derive(Debug, Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}

/// Commands that are sent in one go.
const MAX_BATCH: usize = 64;

/// A connection that all namespaces share. While there is none, commands fail at once.
#[derive(Debug)]
pub(crate) struct Lane {
    dial: Dial,
    reach: Reach,
    /// With a number, so that who finds it broken does not take away its successor.
    state: watch::Sender<(u64, Option<Conn>)>,
}

/// There is no connection at the moment, and why, where that is known.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to Redis{}", because(.0.as_deref()))]
struct Away(#[source] Option<Arc<RedisError>>);

fn because(refusal: Option<&RedisError>) -> String {
    refusal.map(|error| format!(": {error}")).unwrap_or_default()
}

impl Lane {
    pub(crate) fn new(dial: Dial, reach: Reach) -> Arc<Self> {
        Arc::new(Self { dial, reach, state: watch::Sender::new((0, None)) })
    }

    /// Keeps the connection up. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut changes = self.state.subscribe();
        loop {
            // The sender lives in `self`.
            let number = match changes.wait_for(|(_, conn)| conn.is_none()).await {
                Ok(state) => state.0 + 1,
                Err(_) => return,
            };
            let conn = connect(&self.dial, self.reach, self.on_push(number)).await;
            self.state.send_replace((number, Some(conn)));
        }
    }

    /// Waits until there is a connection.
    pub(crate) async fn ready(&self) -> Result<(), AdapterError> {
        let mut changes = self.state.subscribe();
        let there = changes.wait_for(|(_, conn)| conn.is_some());
        let patience = self.dial.patience().connection;
        timeout(patience, there).await.map(drop).map_err(|_| self.away())
    }

    pub(crate) async fn query(&self, cmd: &Cmd) -> Result<Value, AdapterError> {
        self.with(async |conn| conn.query(cmd).await).await
    }

    /// How many commands [`query_all`](Self::query_all) sends in one go. To the nodes of a cluster they go one by one.
    pub(crate) fn max_batch(&self) -> usize {
        if self.dial.is_cluster() && self.reach == Reach::EveryNode { 1 } else { MAX_BATCH }
    }

    /// Several commands in one go. The answer of each, in their order.
    pub(crate) async fn query_all(&self, cmds: Vec<Cmd>) -> Vec<Result<Value, AdapterError>> {
        let count = cmds.len();
        let answers = self.attempt(async |conn| {
            let answers = conn.query_all(cmds).await?;
            // One that says that the connection is of no use says so of all.
            match answers.iter().find_map(|it| it.as_ref().err().filter(|it| breaks(conn, it))) {
                Some(error) => Err(error.clone()),
                None => Ok(answers),
            }
        });
        match answers.await {
            Ok(answers) => answers.into_iter().map(|answer| answer.map_err(engine)).collect(),
            Err(error) => (0..count).map(|_| Err(self.failure(error.clone()))).collect(),
        }
    }

    /// What all nodes count, together.
    pub(crate) async fn sum(&self, cmd: Cmd, masters: bool) -> Result<usize, AdapterError> {
        self.with(async |conn| conn.sum(cmd, masters).await).await
    }

    async fn with<T>(
        &self,
        command: impl AsyncFnOnce(&mut Conn) -> RedisResult<T>,
    ) -> Result<T, AdapterError> {
        self.attempt(command).await.map_err(|error| self.failure(error))
    }

    /// Without an error where there is no connection.
    async fn attempt<T>(
        &self,
        command: impl AsyncFnOnce(&mut Conn) -> RedisResult<T>,
    ) -> Result<T, Option<RedisError>> {
        let (number, conn) = self.state.borrow().clone();
        let mut conn = conn.ok_or(None)?;
        let patience = self.dial.patience().response + Duration::from_millis(100);
        let answer = timeout(patience, command(&mut conn)).await;
        answer.unwrap_or_else(|_| Err(timed_out())).map_err(|error| {
            if breaks(&conn, &error) {
                self.lost(number);
            }
            Some(error)
        })
    }

    fn failure(&self, error: Option<RedisError>) -> AdapterError {
        error.map_or_else(|| self.away(), engine)
    }

    fn away(&self) -> AdapterError {
        AdapterError::Away(Box::new(Away(self.dial.refusal())))
    }

    fn lost(&self, number: u64) {
        self.state.send_if_modified(|(current, conn)| {
            let lost = *current == number && conn.is_some();
            if lost {
                *conn = None;
            }
            lost
        });
    }

    /// A connection that breaks while nobody uses it is replaced before somebody does.
    fn on_push(self: &Arc<Self>, number: u64) -> OnPush {
        let (lane, mends) = (Arc::downgrade(self), self.dial.is_cluster());
        let mends = mends && self.reach == Reach::EveryNode;
        Arc::new(move |info: PushInfo| {
            if info.kind == PushKind::Disconnection
                && !mends
                && let Some(lane) = Weak::upgrade(&lane)
            {
                lane.lost(number);
            }
        })
    }
}

/// Connects, however long it takes.
pub(crate) async fn connect(dial: &Dial, reach: Reach, on_push: OnPush) -> Conn {
    let mut pauses = Pauses::default();
    loop {
        match dial.connect(reach, on_push.clone()).await {
            Ok(conn) => return conn,
            Err(error) => tracing::warn!(target: "socketio::redis", %error, "cannot connect"),
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// What Redis or the way to it has done.
pub(crate) fn engine(error: impl std::error::Error + Send + Sync + 'static) -> AdapterError {
    AdapterError::Engine(Box::new(error))
}

/// An answer of another form than is documented.
pub(crate) fn unexpected(what: &'static str) -> AdapterError {
    engine(RedisError::from((redis::ErrorKind::UnexpectedReturnType, what)))
}
