//! Cluster adapters of the Socket.IO server on Redis: pub/sub, sharded pub/sub and streams.
