//! Futures behind trait objects.

use std::{future::Future, pin::Pin};

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
