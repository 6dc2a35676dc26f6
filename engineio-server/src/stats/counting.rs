//! Counters that both servers use.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows. Accesses are relaxed, because counters do not order other memory
/// accesses.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds one. Only for a counter to which no other thread adds: it would lose numbers.
    pub fn one_of_owner(&self) {
        self.0.store(self.get() + 1, Relaxed);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Returns the value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Defines a group of counters: a struct of public values, and one of atomics with the same fields.
#[doc(hidden)]
#[macro_export]
macro_rules! counters {
    (
        $(#[$doc:meta])* $snapshot:ident, $live:ident {
            $($(#[$field_doc:meta])* $field:ident,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $snapshot {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $snapshot {
            /// Returns every value with the name of its field.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct $live {
            $(pub(crate) $field: $crate::internal::Counter,)*
        }

        impl $live {
            pub(crate) fn add_to(&self, sum: &mut $snapshot) {
                $(sum.$field += self.$field.get();)*
            }
        }
    };
}
