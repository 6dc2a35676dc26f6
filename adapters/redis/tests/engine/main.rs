//! The adapters against real Redis servers and a real Redis Cluster.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../testing/suite.rs"]
mod suite;

mod conformance;

use std::sync::Arc;

use socketio_adapter_redis::{Nodes, RedisAdapter, SubscriptionMode};

type Adapter = Arc<RedisAdapter>;
