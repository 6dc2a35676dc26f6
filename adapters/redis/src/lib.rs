#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
mod classic;
mod command_connection;
mod conn;
mod engine;
mod nodes;
mod options;
mod publisher;
mod refusals;
mod sharded;
mod streams;
mod subscriber;

pub use adapter::RedisAdapter;
pub use classic::Classic;
pub use nodes::{ConfigError, Nodes};
pub use publisher::Publisher;
pub use sharded::{Sharded, SubscriptionMode};
pub use streams::Streams;
