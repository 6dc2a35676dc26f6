//! An application's data of a socket: values of its own types, and one value that is shared with
//! other nodes.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::socket::{Socket, inner::SocketInner};

impl Socket {
    /// Stores a value with the socket, one per type, and returns the previous one. The value is
    /// kept until the last clone of the socket is dropped, so disconnection handlers can still read
    /// it.
    ///
    /// Put a value that changes into a lock or an atomic. A value that refers to a socket should
    /// hold a [`WeakSocket`], because a cycle of strong references is never freed.
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

    /// Returns the value of this type that was stored with the socket.
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.look_at_stored(|stored| stored.get())
    }

    /// Removes the value of this type and returns it.
    pub fn remove_data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.change_stored(|stored| stored.remove())
    }

    /// Sets the socket's shared value (`socket.data` in Node). It is serialized, and is visible to
    /// other nodes of a cluster and to a recovered session.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be serialized as JSON. The previous value stays.
    pub fn set_shared<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), serde_json::Error> {
        let value = serde_json::to_value(value)?;
        let former = self.0.change_stored(|stored| stored.set_shared(value));
        drop(former);
        Ok(())
    }

    /// Decodes the value set by [`set_shared`](Self::set_shared), or `null` if none was set.
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
    /// Returns an error if the value is of another type.
    pub fn shared<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.0.look_at_stored(|stored| stored.shared()) {
            Some(value) => T::deserialize(&*value),
            None => T::deserialize(Value::Null),
        }
    }

    /// Returns whether this socket has recovered the session of an earlier connection: its id,
    /// rooms and shared value are the earlier ones.
    pub fn recovered(&self) -> bool {
        self.0.is_recovered()
    }

    /// Returns a weak reference, which does not keep the socket alive. A handler added to the
    /// socket may hold the socket itself, because such handlers are dropped with the socket's
    /// connection. Everywhere else, prefer a weak reference.
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

/// A weak reference to a [`Socket`], which does not keep it alive. Created by
/// [`Socket::downgrade`].
#[derive(Clone)]
pub struct WeakSocket(Weak<SocketInner>);

impl WeakSocket {
    /// Returns the socket if it is still in use by its connection, a running handler or other code.
    pub fn upgrade(&self) -> Option<Socket> {
        self.0.upgrade().map(Socket)
    }
}

impl fmt::Debug for WeakSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakSocket").field(&self.upgrade()).finish()
    }
}
