//! Cluster adapter of the Socket.IO server on NATS.
