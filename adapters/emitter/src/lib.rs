//! Emits to the clients of a Socket.IO cluster from any process, without a server.
