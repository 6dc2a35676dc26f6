//! Starts and stops the real engines that tests run against: Redis, PostgreSQL,
//! NATS, and a server of MongoDB's protocol.
//!
//! Each engine is a process of its own on a free port of 127.0.0.1, with a scratch folder below the
//! system's folder for temporary files. Dropping the value removes the process and the folder. They
//! are also removed if the test's process is killed, because a shell supervises both.
//!
//! The calls block: for at most a second with Redis and NATS, for some seconds with PostgreSQL.
//!
//! ```no_run
//! let redis = engines::Redis::start().unwrap();
//! println!("{}", redis.url()); // redis://127.0.0.1:20123
//! redis.kill().unwrap(); // simulates a crash
//! redis.restart().unwrap(); // on the same port, without data
//! redis.pause().unwrap(); // connections stay open, but Redis does not respond
//! redis.resume().unwrap();
//! ```
//!
//! The program `engines` does the same for tests in other languages. It reads the commands `kill`,
//! `restart`, `pause` and `resume`, one per line, and exits at the end of its input.

mod engine;
mod mongo;
mod nats;
mod port;
mod postgres;
mod program;
mod redis;
mod tls;
mod watched;

pub use engine::Engine;
pub use mongo::Mongo;
pub use nats::{Nats, NatsCluster};
pub use port::Port;
pub use postgres::Postgres;
pub use program::Error;
pub use redis::{Redis, RedisCluster};
