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

    /// Returns the value of this type. If there is none, stores `value`.
    pub(crate) fn get_or_set<T: Send + Sync + 'static>(&mut self, value: &Arc<T>) -> Arc<T> {
        self.get().unwrap_or_else(|| {
            self.set(value.clone());
            value.clone()
        })
    }

    /// Replaces the value of this type if it is still `former`.
    pub(crate) fn replace<T: Send + Sync + 'static>(
        &mut self,
        former: &Arc<T>,
        value: &Arc<T>,
    ) -> bool {
        let same = self.get().is_some_and(|current| Arc::ptr_eq(&current, former));
        if same {
            self.set(value.clone());
        }
        same
    }

    pub(crate) fn remove<T: Send + Sync + 'static>(&mut self) -> Option<Arc<T>> {
        let at = self.typed.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.typed.swap_remove(at).1.downcast().ok()
    }

    pub(crate) fn shared(&self) -> Option<Arc<Value>> {
        self.shared.clone()
    }

    /// Replaces the shared value if it is still `former`.
    pub(crate) fn replace_shared(&mut self, former: Option<&Arc<Value>>, value: Value) -> bool {
        let same = self.shared.as_ref().map(Arc::as_ptr) == former.map(Arc::as_ptr);
        if same {
            self.set_shared(value);
        }
        same
    }

    pub(crate) fn set_shared(&mut self, value: Value) -> Option<Arc<Value>> {
        self.shared.replace(Arc::new(value))
    }
}
