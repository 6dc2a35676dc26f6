//! Starts and stops the real engines that tests run against: Redis, PostgreSQL, NATS.
//!
//! Each one is a process of its own on a free port of 127.0.0.1, with a scratch folder below the system's folder for
//! temporary files. When the value is dropped, the process and the folder are gone; also when the test's process is killed, since
//! a shell watches over both. The calls block: a second for Redis and NATS at most, some seconds for PostgreSQL.
//!
//! ```no_run
//! let redis = engines::Redis::start().unwrap();
//! println!("{}", redis.url()); // redis://127.0.0.1:20123
//! redis.kill().unwrap(); // as a crash would
//! redis.restart().unwrap(); // empty, on the same port
//! redis.pause().unwrap(); // connections stay open, nothing answers
//! redis.resume().unwrap();
//! ```
//!
//! The program of the same name does this for tests in other languages: it takes `kill`, `restart`, `pause` and `resume` line by
//! line, and ends with its input.

mod engine;
mod error;
mod nats;
mod port;
mod postgres;
mod program;
mod redis;
mod tls;
mod watched;

pub use engine::Engine;
pub use error::Error;
pub use nats::{Nats, NatsCluster};
pub use postgres::Postgres;
pub use redis::{Redis, RedisCluster};
