//! The authentication of the Admin UI: a name and a password, then a session.

use std::{collections::VecDeque, fmt, str::FromStr, sync::Arc};

use bcrypt::HashParts;
use serde::Deserialize;
use socketio_parser::value;
use tokio::sync::Semaphore;

use super::AdminError;
use crate::{
    error::HandlerError,
    namespace::Namespace,
    socket::Socket,
    sync::{Mutex, lock},
};

/// The text by which the page recognizes a refusal.
const INVALID_CREDENTIALS: &str = "invalid credentials";
const MAX_SESSIONS: usize = 1000;
/// Maximum number of passwords that are being checked or wait for it.
const MAX_CHECKS: usize = 16;

pub(super) enum Authentication {
    None,
    Password(Arc<Password>),
}

pub(super) struct Password {
    username: String,
    hash: String,
    /// The ids of the sessions, oldest first.
    sessions: Mutex<VecDeque<String>>,
    /// One permit for each check of a password that may run or wait.
    checks: Arc<Semaphore>,
    /// Passwords are checked one after another, so that a flood of CONNECTs takes one thread.
    running_check: Arc<Semaphore>,
}

/// The data that the page sends with its CONNECT packet: a session, or a name and a password.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    session_id: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// The session of a socket that has logged in with a password.
struct NewSession(String);

impl Authentication {
    pub(super) fn password(username: &str, hash: &str) -> Result<Self, AdminError> {
        HashParts::from_str(hash).map_err(|_| AdminError::InvalidHash)?;
        Ok(Self::Password(Arc::new(Password {
            username: username.to_owned(),
            hash: hash.to_owned(),
            sessions: Mutex::default(),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            running_check: Arc::new(Semaphore::new(1)),
        })))
    }

    /// Adds the middleware that checks the credentials.
    pub(super) fn guard(&self, namespace: &Namespace) {
        let Self::Password(password) = self else { return };
        let password = password.clone();
        namespace.use_(move |socket: Socket| {
            let password = password.clone();
            async move { password.check(&socket).await }
        });
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password(_) => "Password(..)",
        })
    }
}

impl Password {
    async fn check(self: Arc<Self>, socket: &Socket) -> Result<(), HandlerError> {
        let refusal = || HandlerError::public(INVALID_CREDENTIALS);
        let credentials: Credentials = socket.auth().map_err(|_| refusal())?;
        if credentials.session_id.is_some_and(|id| lock(&self.sessions).contains(&id)) {
            return Ok(());
        }
        let (Some(username), Some(password)) = (credentials.username, credentials.password) else {
            return Err(refusal());
        };
        let check = self.checks.clone().try_acquire_owned().map_err(|_| refusal())?;
        let running = self.running_check.clone().acquire_owned().await.map_err(|_| refusal())?;
        let checker = self.clone();
        // The password is checked for other names too, so that the time does not reveal the name.
        let right = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(&password, &checker.hash).unwrap_or(false);
            drop((running, check));
            right
        });
        if !right.await.unwrap_or(false) || username != self.username {
            return Err(refusal());
        }
        let id = engineio_server::generate_sid()?.to_string();
        self.add_session(id.clone());
        socket.set_data(NewSession(id));
        Ok(())
    }

    fn add_session(&self, id: String) {
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= MAX_SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(id);
    }
}

/// Sends a page its new session. Node's server does so before the CONNECT packet, where the page
/// misses it.
pub(super) fn announce(socket: &Socket) -> Result<(), HandlerError> {
    if let Some(session) = socket.remove_data::<NewSession>() {
        socket.emit("session", &value!(session.0.as_str()))?;
    }
    Ok(())
}
