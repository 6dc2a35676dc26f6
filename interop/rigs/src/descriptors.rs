//! Threads with descriptor tables of their own.
//!
//! The limit of open files holds for a table of descriptors. Usually all threads of a process share
//! one table. A thread may separate from it, and then opens as many files again. So a process of
//! many threads holds a million connections although nobody may raise the limit.
//!
//! A descriptor has a meaning in the tables that contain it only. Descriptors that other threads
//! use too (the wakers of runtimes, pipes of signals) must be opened before the threads separate,
//! because each new table begins as a copy. Later ones belong to one thread.

use std::{io, net::TcpListener, thread};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait for their acceptance by one thread.
const BACKLOG: i32 = 4096;

/// Gives the calling thread a copy of the process's descriptor table.
///
/// # Errors
///
/// Returns an error if the system has no memory, or is not Linux.
pub fn separate() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES)?);
    #[cfg(not(target_os = "linux"))]
    return Err(io::ErrorKind::Unsupported.into());
}

/// Binds `count` listeners to one port of the loopback address. The system spreads the connections
/// over them. With port 0, the system chooses the port.
///
/// # Errors
///
/// Returns an error if the port cannot be bound.
pub fn listeners(mut port: u16, count: usize) -> io::Result<Vec<TcpListener>> {
    let listener = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        // Without a need for it, a port in use must remain an error.
        #[cfg(unix)]
        socket.set_reuse_port(count > 1)?;
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        port = listener.local_addr()?.port();
        Ok(listener)
    };
    (0..count).map(listener).collect()
}

/// Runs `work` in a thread for each value, with a descriptor table of its own if there are several.
pub fn threads<T: Send + 'static>(
    values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    work: impl Fn(T) -> io::Result<()> + Clone + Send + 'static,
) -> Vec<thread::JoinHandle<io::Result<()>>> {
    let values = values.into_iter();
    let several = values.len() > 1;
    let start = |value| {
        let work = work.clone();
        thread::spawn(move || {
            if several {
                separate()?;
            }
            work(value)
        })
    };
    values.map(start).collect()
}
