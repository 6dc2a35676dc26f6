//! The listening connection.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use socketio_adapter::{Message, MessageError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{AsyncMessage, Client, Notification};

use crate::{
    config::PostgresConfig,
    connect::{connect, retry_pause},
    error::PostgresError,
    publisher::Publisher,
    registry::Registry,
    sync::lock,
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
}

impl Listener {
    /// Listens forever.
    pub(crate) async fn run(self) {
        loop {
            let error = self.session().await;
            tracing::warn!(target: "socketio::cluster", %error, "the listening connection is lost");
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
        let mut subscribed = pin!(self.subscribe(&client));
        let mut alive = pin!(watch(&client));
        loop {
            tokio::select! {
                message = driver.next() => match message {
                    // The next message is not read before this one is delivered. Waiting messages
                    // stay in the database.
                    Ok(AsyncMessage::Notification(notification)) => {
                        self.receive(&notification).await;
                        client.note_received();
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                },
                error = &mut subscribed => return error,
                error = &mut alive => return error,
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
                    tracing::warn!(target: "socketio::cluster", channel, %error, "cannot listen");
                }
            }
            self.registry.mark_subscribed(&subscribed);
            active = subscribed;
            warned.retain(|channel, _| wanted.contains(channel));
            let refused = !wanted.is_subset(&active);
            tokio::select! {
                () = self.registry.changed.notified() => {}
                () = tokio::time::sleep(CHECK_INTERVAL), if refused => {}
            }
        }
    }

    async fn receive(&self, notification: &Notification) {
        let (channel, payload) = (notification.channel(), notification.payload());
        let message = match wire::attachment(payload) {
            Ok(None) => {
                let receivers = self.registry.receivers(channel, None);
                let Some(seat) = receivers.seat() else { return };
                let limits = &self.config.limits;
                receivers.deliver(Message::decode_in(payload.as_bytes(), &seat.nsp, limits));
                return;
            }
            Ok(Some(attachment)) => {
                let receivers = self.registry.receivers(channel, Some(&attachment.uid));
                let Some(seat) = receivers.seat() else { return };
                let fetched = match self.publisher.fetch(attachment.id).await {
                    Ok(fetched) => fetched,
                    Err(error) => {
                        tracing::warn!(target: "socketio::cluster", %error, "an attachment is lost");
                        Err(MessageError::Malformed("the attachment cannot be fetched"))
                    }
                };
                let limits = &self.config.limits;
                let message = fetched.and_then(|wire| Message::decode_in(&wire, &seat.nsp, limits));
                receivers.deliver(message);
                return;
            }
            Err(error) => Err(error),
        };
        self.registry.receivers(channel, None).deliver(message);
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
        let mut asked = pin!(self.client.batch_execute(statement));
        loop {
            let last_received = *lock(&self.last_received);
            // A notification may wait for its attachment.
            let timeout = self.timeout.saturating_mul(2);
            if let Ok(answered) = timeout_at(last_received + timeout, &mut asked).await {
                return Ok(answered?);
            }
            if last_received == *lock(&self.last_received) {
                return Err(PostgresError::Timeout(timeout));
            }
        }
    }
}
