//! An application's data of a socket: values of its own types, and one value that is shared with
//! other nodes.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::socket::{Socket, inner::SocketInner, stored::Stored};

impl Socket {
    /// Stores a value with the socket, one per type, and returns the previous one. The value is
    /// kept until the last clone of the socket is dropped, so disconnection handlers can still read
    /// it.
    ///
    /// Change a value with [`update_data`](Self::update_data), or put it into a lock or an atomic.
    /// A value that refers to a socket should hold a [`WeakSocket`], because a cycle of strong
    /// references is never freed.
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
        self.0.with_stored(|stored| stored.get())
    }

    /// Returns the value of this type that was stored with the socket. If there is none, stores the
    /// result of `create` and returns it. If another thread stores a value at the same time, the
    /// result is dropped and both threads get the same value.
    ///
    /// ```
    /// use std::{collections::HashSet, sync::Mutex};
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// type Seen = Mutex<HashSet<u32>>;
    ///
    /// let io = Server::new();
    /// io.on("see", |socket: Socket, Data(page): Data<u32>| async move {
    ///     let seen = socket.data_or_insert_with(Seen::default);
    ///     let first_time = seen.lock().unwrap().insert(page);
    ///     first_time
    /// });
    /// ```
    pub fn data_or_insert_with<T: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.data().unwrap_or_else(|| {
            let value = Arc::new(create());
            self.0.change_stored(|stored| stored.get_or_set(&value))
        })
    }

    /// Changes the value of this type that was stored with the socket, and returns the new value.
    /// Returns `None` and does not call `change` if there is no value. Code that still holds the
    /// previous value does not see the change.
    ///
    /// Costs a clone of the value. `change` gets the clone, and is called again with a new one if
    /// another thread replaces the value at the same time.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// #[derive(Clone, Default)]
    /// struct Profile { name: String, moves: u32 }
    ///
    /// let io = Server::new();
    /// io.on_connection(|socket: Socket| async move {
    ///     socket.set_data(Profile::default());
    /// });
    /// io.on("move", |socket: Socket| async move {
    ///     let profile = socket.update_data(|profile: &mut Profile| profile.moves += 1);
    ///     profile.map(|profile| profile.moves)
    /// });
    /// ```
    pub fn update_data<T: Clone + Send + Sync + 'static>(
        &self,
        mut change: impl FnMut(&mut T),
    ) -> Option<Arc<T>> {
        loop {
            let former = self.data::<T>()?;
            let mut value = T::clone(&former);
            change(&mut value);
            let value = Arc::new(value);
            if self.0.change_stored(|stored| stored.replace(&former, &value)) {
                return Some(value);
            }
        }
    }

    /// Removes the value of this type and returns it.
    pub fn remove_data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.change_stored(|stored| stored.remove())
    }

    /// Sets the socket's shared value (`socket.data` in Node). The value is stored as JSON. Other
    /// nodes of a cluster can read it ([`RemoteSocket::data`](crate::RemoteSocket::data)), and a
    /// recovered session keeps it, on any node.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("rename", |socket: Socket, Data(name): Data<String>| async move {
    ///     socket.set_shared(&serde_json::json!({ "name": name }))?;
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be serialized as JSON. The previous value stays.
    pub fn set_shared<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), serde_json::Error> {
        let value = serde_json::to_value(value)?;
        let former = self.0.change_stored(|stored| stored.set_shared(value));
        drop(former);
        self.shared_changed();
        Ok(())
    }

    /// Decodes the value set by [`set_shared`](Self::set_shared). If none was set, decodes `null`.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
    pub fn shared<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        decode(self.0.with_stored(Stored::shared).as_ref())
    }

    /// Changes the socket's shared value and returns the new one. If none was set, `change` gets
    /// the value decoded from `null`. Costs decoding and encoding the value. `change` is called
    /// again if another thread replaces the value at the same time.
    ///
    /// ```
    /// use socketio_server::Socket;
    ///
    /// fn rename(socket: &Socket, name: &str) -> Result<(), serde_json::Error> {
    ///     // `socket.data.name = name` in Node.
    ///     socket.update_shared(|data: &mut serde_json::Value| data["name"] = name.into())?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type or cannot be serialized as JSON. The
    /// previous value stays.
    pub fn update_shared<T: Serialize + DeserializeOwned>(
        &self,
        mut change: impl FnMut(&mut T),
    ) -> Result<T, serde_json::Error> {
        loop {
            let former = self.0.with_stored(Stored::shared);
            let mut value = decode(former.as_ref())?;
            change(&mut value);
            let json = serde_json::to_value(&value)?;
            if self.0.change_stored(|stored| stored.replace_shared(former.as_ref(), json)) {
                self.shared_changed();
                return Ok(value);
            }
        }
    }

    fn shared_changed(&self) {
        self.0.session_changed();
        self.namespace().notify_shared(self);
    }

    /// Returns whether this socket has recovered the session of an earlier connection. Its id,
    /// rooms and shared value are then those of the earlier socket. See
    /// [`Recovery`](crate::Recovery).
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

fn decode<T: DeserializeOwned>(shared: Option<&Arc<Value>>) -> Result<T, serde_json::Error> {
    T::deserialize(shared.map_or(&Value::Null, |value| value))
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
