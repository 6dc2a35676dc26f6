//! Counters and gauges that both servers use.

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
    #[inline]
    pub fn one_of_owner(&self) {
        self.0.store(self.get() + 1, Relaxed);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Returns the value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A current value to which several owners contribute.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces an owner's contribution `from` by `to`.
    #[inline]
    pub fn change(&self, from: u32, to: u32) {
        if from != to {
            self.0.fetch_add(u64::from(to).wrapping_sub(from.into()), Relaxed);
        }
    }

    /// Returns the sum of the contributions.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Converts a size to a contribution of a [`Gauge`].
#[inline]
pub fn saturated(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
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
