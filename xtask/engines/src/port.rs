//! Ports that stay reserved while a server is down.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use crate::program::Error;

/// Start of the port range. It lies below the range from which systems take the ports of outgoing
/// connections. Such a connection could otherwise occupy the port of a server that is down.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
/// The UDP port that reserves a port is this much higher, so that a server can use the UDP port of
/// the same number.
const RESERVING: u16 = 10_000;

/// A port of 127.0.0.1 on which no process listens. This value binds another UDP port, so that no
/// other process that allocates ports this way takes it. The port is free again when the value is
/// dropped or the process ends. `interop/lib/server.mjs` and `interop/python/server.py` allocate
/// ports in the same way.
#[derive(Debug)]
pub struct Port {
    held: UdpSocket,
    number: u16,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    ///
    /// All ports are in use.
    pub fn free() -> Result<Port, Error> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let number = FIRST + (start.wrapping_mul(7) % COUNT + offset) % COUNT;
            let Ok(held) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number + RESERVING)) else {
                continue;
            };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Port { held, number });
            }
        }
        Err(Error("there is no free port".to_owned()))
    }

    /// The number of the port.
    #[must_use]
    pub fn number(&self) -> u16 {
        debug_assert!(self.held.local_addr().is_ok());
        self.number
    }
}
