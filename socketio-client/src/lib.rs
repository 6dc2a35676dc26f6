//! The Socket.IO client. Not built yet: what it will stand on, the codecs and the machines for both roles, is in
//! [`engineio_parser`] and [`socketio_parser`].
