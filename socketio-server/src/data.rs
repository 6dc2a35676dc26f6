//! What an application keeps with a socket: values of its own types, and one that other nodes may see.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::model::{Socket, SocketInner};

impl Socket {
    /// Keeps a value with the socket, one of each type; gives the former one back. It stays until the last clone of
    /// the socket is dropped, so that handlers of its disconnection find it.
    ///
    /// What changes goes into a lock or an atomic of its own. A value that holds a socket holds a
    /// [`WeakSocket`], or both are kept for ever.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use socketio_server::{Server, Socket};
    ///
    /// struct Score(AtomicU32);
    ///
    /// let io = Server::new();
    /// io.on_connection(|socket: Socket| async move {
    ///     socket.set_data(Score(0.into()));
    /// });
    /// io.on("hit", |socket: Socket| async move {
    ///     socket.data::<Score>().map(|score| score.0.fetch_add(1, Ordering::Relaxed) + 1)
    /// });
    /// ```
    pub fn set_data<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.0.change_stored(|stored| stored.set(Arc::new(value)))
    }

    /// The value of this type that was kept with the socket.
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.look_at_stored(|stored| stored.get())
    }

    /// Keeps the value of this type no longer, and gives it back.
    pub fn remove_data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.change_stored(|stored| stored.remove())
    }

    /// Sets the value that stands for the socket elsewhere (`socket.data` in Node): it is serialised, and is what
    /// other nodes of a cluster and a restored session get to see.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised as JSON; the former one stays.
    pub fn set_shared<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), serde_json::Error> {
        let value = serde_json::to_value(value)?;
        let former = self.0.change_stored(|stored| stored.set_shared(value));
        drop(former);
        Ok(())
    }

    /// The value set by [`set_shared`](Self::set_shared), decoded; `null` where none was set.
    ///
    /// ```
    /// use serde_json::json;
    /// use socketio_server::Socket;
    ///
    /// fn rename(socket: &Socket, name: &str) -> Result<(), serde_json::Error> {
    ///     let former: serde_json::Value = socket.shared()?;
    ///     socket.set_shared(&json!({ "name": name, "formerly": former["name"] }))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The value is of another type.
    pub fn shared<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.0.look_at_stored(|stored| stored.shared()) {
            Some(value) => T::deserialize(&*value),
            None => T::deserialize(Value::Null),
        }
    }

    /// Whether the state of an earlier connection was restored to this socket: its id, rooms and shared value are
    /// those it had.
    pub fn recovered(&self) -> bool {
        self.0.is_recovered()
    }

    /// A reference that does not keep the socket. A handler of the socket's own may hold the socket itself, as such
    /// handlers end with it; what is kept elsewhere is better off with this.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use socketio_server::{Socket, WeakSocket};
    ///
    /// static LAST: Mutex<Option<WeakSocket>> = Mutex::new(None);
    ///
    /// fn remember(socket: &Socket) {
    ///     *LAST.lock().unwrap() = Some(socket.downgrade());
    /// }
    /// ```
    pub fn downgrade(&self) -> WeakSocket {
        WeakSocket(Arc::downgrade(&self.0))
    }
}

/// A reference to a [`Socket`] that does not keep it. Made by [`Socket::downgrade`].
#[derive(Clone)]
pub struct WeakSocket(Weak<SocketInner>);

impl WeakSocket {
    /// The socket, if anybody still has it: its connection, a handler that runs, or whoever kept it.
    pub fn upgrade(&self) -> Option<Socket> {
        self.0.upgrade().map(Socket)
    }
}

impl fmt::Debug for WeakSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakSocket").field(&self.upgrade()).finish()
    }
}
