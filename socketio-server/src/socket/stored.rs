//! The application's data of a socket.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

use serde_json::Value;

type StoredValue = Arc<dyn Any + Send + Sync>;

/// Values by type, and the value shared with other nodes. There are few values, so they are
/// searched linearly.
#[derive(Clone, Default)]
pub(crate) struct Stored {
    typed: Vec<(TypeId, StoredValue)>,
    shared: Option<Arc<Value>>,
}

impl Stored {
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let (_, value) = self.typed.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.clone().downcast().ok()
    }

    pub(crate) fn set<T: Send + Sync + 'static>(&mut self, value: Arc<T>) -> Option<Arc<T>> {
        let former = self.remove();
        self.typed.push((TypeId::of::<T>(), value));
        former
    }

    pub(crate) fn remove<T: Send + Sync + 'static>(&mut self) -> Option<Arc<T>> {
        let at = self.typed.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.typed.swap_remove(at).1.downcast().ok()
    }

    pub(crate) fn shared(&self) -> Option<Arc<Value>> {
        self.shared.clone()
    }

    pub(crate) fn set_shared(&mut self, value: Value) -> Option<Arc<Value>> {
        self.shared.replace(Arc::new(value))
    }
}
