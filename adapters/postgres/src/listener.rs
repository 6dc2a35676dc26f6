//! The connection that listens.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socketio_adapter::{Message, MessageError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{AsyncMessage, Client, Notification};

use crate::{
    config::PostgresConfig,
    connect::{connect, pause},
    error::PostgresError,
    publisher::Publisher,
    registry::Registry,
    wire,
};

/// How often the database is asked whether it is still there. One whose machine hangs says nothing, and closes nothing.
const PING: Duration = Duration::from_secs(10);

pub(crate) struct Listener {
    pub(crate) config: PostgresConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) publisher: Arc<Publisher>,
}

impl Listener {
    /// Listens for ever.
    pub(crate) async fn run(self) {
        loop {
            let error = self.session().await;
            tracing::warn!(target: "socketio::cluster", %error, "no connection that listens");
            pause().await;
        }
    }

    /// From the connection's beginning to its end.
    async fn session(&self) -> PostgresError {
        let (client, mut driver) = match connect(&*self.config.connect, self.config.timeout).await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        let client = Asking { client, patience: self.config.timeout, heard: Instant::now().into() };
        let mut subscribed = pin!(self.subscribe(&client));
        let mut alive = pin!(watch(&client));
        loop {
            tokio::select! {
                message = driver.next() => match message {
                    // The next message is not read before this one is delivered: what waits, waits at the database.
                    Ok(AsyncMessage::Notification(notification)) => {
                        self.hear(&notification).await;
                        client.heard();
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                },
                error = &mut subscribed => return error,
                error = &mut alive => return error,
            }
        }
    }

    /// Listens to what the registry names, whenever it changes.
    async fn subscribe(&self, client: &Asking) -> PostgresError {
        let mut active = HashSet::new();
        loop {
            let wanted = self.registry.wanted();
            let new = wanted.difference(&active).map(|channel| ("LISTEN", channel));
            let old = active.difference(&wanted).map(|channel| ("UNLISTEN", channel));
            for (command, channel) in new.chain(old) {
                let statement = format!("{command} \"{}\"", channel.replace('"', "\"\""));
                if let Err(error) = client.ask(&statement).await {
                    return error;
                }
            }
            self.registry.listened(&wanted);
            active = wanted;
            self.registry.changed.notified().await;
        }
    }

    async fn hear(&self, notification: &Notification) {
        let (channel, payload) = (notification.channel(), notification.payload());
        let message = match wire::attachment(payload) {
            Ok(None) => {
                let hearers = self.registry.hearers(channel, None);
                let Some(seat) = hearers.seat() else { return };
                let limits = &self.config.limits;
                hearers.tell(Message::decode_in(payload.as_bytes(), &seat.nsp, limits));
                return;
            }
            Ok(Some(attachment)) => {
                let hearers = self.registry.hearers(channel, Some(&attachment.uid));
                let Some(seat) = hearers.seat() else { return };
                let fetched = match self.publisher.fetch(attachment.id).await {
                    Ok(fetched) => fetched,
                    Err(error) => {
                        tracing::warn!(target: "socketio::cluster", %error, "an attachment is lost");
                        Err(MessageError::Malformed("its attachment cannot be fetched"))
                    }
                };
                let limits = &self.config.limits;
                let message = fetched.and_then(|wire| Message::decode_in(&wire, &seat.nsp, limits));
                hearers.tell(message);
                return;
            }
            Err(error) => Err(error),
        };
        self.registry.hearers(channel, None).tell(message);
    }
}

/// Ends when the database does not answer.
async fn watch(client: &Asking) -> PostgresError {
    loop {
        tokio::time::sleep(PING).await;
        if let Err(error) = client.ask("").await {
            return error;
        }
    }
}

/// Asks on the connection that listens, where answers come behind all that was said before.
struct Asking {
    client: Client,
    patience: Duration,
    /// When the last message was dealt with.
    heard: Mutex<Instant>,
}

impl Asking {
    fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Who still hears messages is connected, however many of them come before the answer.
    async fn ask(&self, statement: &str) -> Result<(), PostgresError> {
        self.heard();
        let mut asked = pin!(self.client.batch_execute(statement));
        loop {
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // A message may wait for its attachment.
            let patience = self.patience.saturating_mul(2);
            if let Ok(answered) = timeout_at(heard + patience, &mut asked).await {
                return Ok(answered?);
            }
            if heard == *self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(PostgresError::Timeout(patience));
            }
        }
    }
}
