//! Starts and stops the real engines that tests run against: Redis, PostgreSQL, NATS.
