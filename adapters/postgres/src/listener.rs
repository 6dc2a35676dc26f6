//! The listening connection.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use socketio_adapter::{ClusterMember, Message, MessageError, internal::lock, recovery::PageSize};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_postgres::{AsyncMessage, Client, Notification};

use crate::{
    config::PostgresConfig,
    connect::{connect, retry_pause},
    error::PostgresError,
    publisher::Publisher,
    recovery::Row,
    registry::{Lagging, Registry},
    wire,
};

/// How often the listener checks that the database responds, and retries refused channels. A hung
/// machine neither sends anything nor closes the connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Shortest time between two warnings about the same refused channel.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

pub(crate) struct Listener {
    pub(crate) config: PostgresConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) publisher: Arc<Publisher>,
    /// Notified when channels have been subscribed to, if there is a log.
    pub(crate) subscribed: Notify,
}

/// The part of the log that is read at once after a lost connection.
const PAGE: PageSize = PageSize { packets: 256, bytes: 1 << 20 };

impl Listener {
    /// Listens forever.
    pub(crate) async fn run(self) {
        loop {
            let error = self.session().await;
            tracing::warn!(target: "socketio::cluster", %error, "the listening connection is lost: reconnecting");
            retry_pause().await;
        }
    }

    /// Runs one connection until it ends.
    async fn session(&self) -> PostgresError {
        let (client, mut driver) = match connect(&*self.config.connect, self.config.timeout).await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        let client = ListeningClient {
            client,
            timeout: self.config.timeout,
            last_received: Instant::now().into(),
        };
        self.registry.mark_disconnected();
        let mut subscribed = pin!(self.subscribe(&client));
        let mut alive = pin!(watch(&client));
        loop {
            let handled = tokio::select! {
                message = driver.next() => match message {
                    // The next message is not read before this one is delivered. Waiting messages
                    // stay in the database.
                    Ok(AsyncMessage::Notification(notification)) => {
                        self.receive(&notification).await
                    }
                    Ok(_) => continue,
                    Err(error) => Err(error),
                },
                () = self.subscribed.notified() => self.catch_up().await,
                error = &mut subscribed => Err(error),
                error = &mut alive => Err(error),
            };
            match handled {
                Ok(()) => client.note_received(),
                Err(error) => return error,
            }
        }
    }

    /// Subscribes to the channels in the registry, and again whenever they change. Refused channels
    /// are retried, because the reason may pass: a standby accepts `LISTEN` once it is promoted.
    async fn subscribe(&self, client: &ListeningClient) -> PostgresError {
        let mut active = HashSet::new();
        let mut warned = HashMap::<String, Instant>::new();
        loop {
            let wanted = self.registry.wanted();
            let new = wanted.difference(&active).map(|channel| ("LISTEN", channel));
            let old = active.difference(&wanted).map(|channel| ("UNLISTEN", channel));
            let mut subscribed = wanted.clone();
            for (command, channel) in new.chain(old) {
                let statement = format!("{command} \"{}\"", channel.replace('"', "\"\""));
                let Err(error) = client.execute(&statement).await else { continue };
                if !error.is_refusal() {
                    return error;
                }
                // A refused channel affects its own namespace only, whose join fails.
                subscribed.remove(channel);
                let error = Arc::new(error);
                let joins = self.registry.mark_refused(channel, &error);
                let recent = warned.get(channel).is_some_and(|at| at.elapsed() < WARNING_INTERVAL);
                if !joins && !recent {
                    warned.insert(channel.clone(), Instant::now());
                    tracing::warn!(target: "socketio::cluster", channel, %error, "PostgreSQL refuses to listen on a channel: retrying");
                }
            }
            self.registry.mark_subscribed(&subscribed);
            match self.config.log {
                Some(_) => self.subscribed.notify_one(),
                None => self.registry.admit(),
            }
            active = subscribed;
            warned.retain(|channel, _| wanted.contains(channel));
            let refused = !wanted.is_subset(&active);
            tokio::select! {
                () = self.registry.changed.notified() => {}
                () = tokio::time::sleep(CHECK_INTERVAL), if refused => {}
            }
        }
    }

    /// Reads the entries of the log that were appended while there was no connection, and where the
    /// log ends for namespaces that join. Notifications that arrive in the meantime wait.
    async fn catch_up(&self) -> Result<(), PostgresError> {
        for Lagging { channel, node, missing_after } in self.registry.lagging() {
            let nsp = node.nsp.as_str();
            let mut more = missing_after;
            while let Some(from) = more {
                let rows = self.publisher.read(nsp, from, PAGE).await?;
                if from > 0 && rows.first().is_some_and(|first| first.id != from) {
                    tracing::warn!(target: "socketio::cluster", nsp, "events may be lost: the log was trimmed before this node read it");
                }
                more = rows.last().map(|last| last.id).filter(|last| *last > from);
                for row in rows {
                    if self.registry.advance(&channel, row.id) {
                        self.deliver(&channel, &node, &row);
                    }
                }
            }
            let end = async { self.publisher.log().await?.end(nsp).await };
            match self.publisher.with_timeout(end).await {
                Ok(end) => self.registry.mark_caught_up(&channel, end),
                Err(error) if error.is_refusal() => {
                    let error = Arc::new(error);
                    if !self.registry.mark_refused(&channel, &error) {
                        return Err(PostgresError::ConnectFailed(error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn deliver(&self, channel: &str, node: &ClusterMember, row: &Row) {
        let limits = &self.config.limits;
        let message = match &row.payload {
            Some(payload) => Message::decode_in(payload, &node.nsp, limits),
            None => Err(MessageError::Malformed("an entry of the log is too large")),
        };
        self.registry.receivers(channel, None).deliver(message, Some(row.id));
    }

    async fn receive(&self, notification: &Notification) -> Result<(), PostgresError> {
        let (channel, payload) = (notification.channel(), notification.payload());
        let offset = wire::offset(payload).filter(|_| self.config.log.is_some());
        if let Some(offset) = offset {
            // Earlier entries come first.
            if self.registry.is_behind(channel) {
                self.catch_up().await?;
            }
            if !self.registry.advance(channel, offset) {
                return Ok(());
            }
        }
        let attachment = match wire::attachment(payload) {
            Ok(None) => {
                let receivers = self.registry.receivers(channel, None);
                if receivers.take_own(payload.as_bytes(), offset) {
                    return Ok(());
                }
                let Some(node) = receivers.node() else { return Ok(()) };
                let limits = &self.config.limits;
                let message = Message::decode_in(payload.as_bytes(), &node.nsp, limits);
                receivers.deliver(message, offset);
                return Ok(());
            }
            Ok(Some(attachment)) => attachment,
            Err(error) => {
                self.registry.receivers(channel, None).deliver(Err(error), None);
                return Ok(());
            }
        };
        // A node needs its own messages only from the log.
        let sender = if offset.is_some() { None } else { Some(&*attachment.uid) };
        let receivers = self.registry.receivers(channel, sender);
        let Some(node) = receivers.node() else { return Ok(()) };
        if let Some(offset) = offset {
            let single = PageSize { packets: 0, bytes: 0 };
            let rows = self.publisher.read(node.nsp.as_str(), offset, single).await?;
            match rows.first().filter(|row| row.id == offset) {
                Some(row) => self.deliver(channel, node, row),
                None => receivers.deliver(
                    Err(MessageError::Malformed("the entry of the log does not exist")),
                    Some(offset),
                ),
            }
            return Ok(());
        }
        let fetched = match self.publisher.fetch(attachment.id).await {
            Ok(fetched) => fetched,
            Err(error) => {
                tracing::warn!(target: "socketio::cluster", %error, "a message of another node is lost, because its row cannot be read");
                Err(MessageError::Malformed("the attachment cannot be fetched"))
            }
        };
        let limits = &self.config.limits;
        let message = fetched.and_then(|wire| Message::decode_in(&wire, &node.nsp, limits));
        receivers.deliver(message, None);
        Ok(())
    }
}

/// Returns when the database stops responding.
async fn watch(client: &ListeningClient) -> PostgresError {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if let Err(error) = client.execute("").await {
            return error;
        }
    }
}

/// Sends statements on the listening connection. Their responses arrive after all notifications
/// that were sent earlier.
struct ListeningClient {
    client: Client,
    timeout: Duration,
    /// When the last notification was processed.
    last_received: Mutex<Instant>,
}

impl ListeningClient {
    fn note_received(&self) {
        *lock(&self.last_received) = Instant::now();
    }

    /// Executes a statement. The time limit restarts with every notification, because many of them
    /// may arrive before the response.
    async fn execute(&self, statement: &str) -> Result<(), PostgresError> {
        self.note_received();
        let mut response = pin!(self.client.batch_execute(statement));
        loop {
            let last_received = *lock(&self.last_received);
            // A notification may wait for its attachment.
            let timeout = self.timeout.saturating_mul(2);
            if let Ok(response) = timeout_at(last_received + timeout, &mut response).await {
                return Ok(response?);
            }
            if last_received == *lock(&self.last_received) {
                return Err(PostgresError::Timeout(timeout));
            }
        }
    }
}
