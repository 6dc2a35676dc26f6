//! The cases, each with a number that grows.

use std::{
    io::{self, Error},
    pin::pin,
};

use socketio_server::Socket;
use tokio::runtime::Runtime;

use crate::{
    clients::{Client, Host, namespace},
    counted,
};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The work whose cost is counted.
    pub(crate) title: &'static str,
    /// The objects whose number grows, such as clients or rooms.
    pub(crate) of: &'static str,
    /// The unit of the cost.
    pub(crate) unit: &'static str,
    pub(crate) sizes: &'static [usize],
    /// Prepares the given number of things and does the work. Returns the units of work.
    pub(crate) run: fn(&Runtime, usize) -> io::Result<u64>,
}

const CLIENTS: &[usize] = &[30, 300, 1000, 10_000];
const ROOMS: &[usize] = &[10, 100, 1000, 10_000, 100_000];
const NAMESPACES: &[usize] = &[1, 8, 64, 256, 1024];
/// Repetitions of a message or a change of rooms.
const TIMES: usize = 100;

pub(crate) const CASES: &[Case] = {
    const fn of(
        name: &'static str,
        title: &'static str,
        of: &'static str,
        unit: &'static str,
        sizes: &'static [usize],
        run: fn(&Runtime, usize) -> io::Result<u64>,
    ) -> Case {
        Case { name, title, of, unit, sizes, run }
    }
    &[
        of("connect", "a client connects", "clients", "client", CLIENTS, connect),
        of("leave", "a client's connection ends", "clients", "client", CLIENTS, leave),
        of("echo", "a client sends an event and gets one", "clients", "echo", CLIENTS, echo),
        of("broadcast", "a broadcast to all clients", "clients", "delivery", CLIENTS, broadcast),
        of(
            "member",
            "a socket joins the room of all and leaves it",
            "members",
            "change",
            CLIENTS,
            member,
        ),
        of(
            "members",
            "all sockets join a room and leave it by one call",
            "members",
            "socket",
            CLIENTS,
            members,
        ),
        of("rooms", "a socket joins a new room and leaves it", "rooms", "change", ROOMS, rooms),
        of("room", "a broadcast to a room of 10", "rooms", "delivery", ROOMS, room),
        of(
            "own-rooms",
            "a socket joins many rooms and leaves them",
            "rooms",
            "change",
            ROOMS,
            own_rooms,
        ),
        of(
            "end-in-rooms",
            "the connection of a socket in many rooms ends",
            "rooms",
            "room",
            ROOMS,
            end_in_rooms,
        ),
        of(
            "namespaces",
            "a client joins namespaces",
            "namespaces",
            "namespace",
            NAMESPACES,
            namespaces,
        ),
        of(
            "event",
            "a client sends an event and gets one in its last namespace",
            "namespaces",
            "echo",
            NAMESPACES,
            event,
        ),
        of("quit", "a client leaves its namespaces", "namespaces", "namespace", NAMESPACES, quit),
        of(
            "disconnect",
            "the server disconnects a client's sockets",
            "namespaces",
            "namespace",
            NAMESPACES,
            disconnect,
        ),
        of("end", "the connection of a client ends", "namespaces", "namespace", NAMESPACES, end),
    ]
};

/// The event `echo` of a namespace.
fn message(prefix: &str) -> String {
    format!(r#"42{prefix}["echo",{{"id":10000000,"text":"abcdefghijklmnopqrstuvwxyz012345"}}]"#)
}

fn first<T>(list: &mut [T]) -> io::Result<&mut T> {
    list.first_mut().ok_or_else(|| Error::other("there is none"))
}

fn connect(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let _clients = runtime.block_on(host.clients(size))?;
    let work = async { host.clients(TIMES).await.map(std::mem::forget) };
    counted(runtime, pin!(work)).map(|()| TIMES as u64)
}

fn leave(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let _clients = runtime.block_on(host.clients(size))?;
    let leaving = runtime.block_on(host.clients(TIMES))?;
    let work = async {
        drop(leaving);
        host.ended(TIMES).await;
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| TIMES as u64)
}

fn echo(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let mut clients = runtime.block_on(host.clients(size))?;
    let client = first(&mut clients)?;
    echoes(runtime, client, &message(""))
}

/// Counts echoes of one client after a first one.
fn echoes(runtime: &Runtime, client: &mut Client, message: &str) -> io::Result<u64> {
    let mut echo = async |times| {
        for _ in 0..times {
            client.send(message).await?;
            client.frames(1).await?;
        }
        Ok::<_, Error>(())
    };
    runtime.block_on(echo(1))?;
    counted(runtime, pin!(echo(TIMES))).map(|()| TIMES as u64)
}

fn broadcast(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let mut clients = runtime.block_on(host.clients(size))?;
    let times = 1 + 2000 / size;
    let work = async {
        for _ in 0..times {
            first(&mut clients)?.send(r#"42["cast","hello"]"#).await?;
            for client in &mut clients {
                client.frames(1).await?;
            }
        }
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| (times * size) as u64)
}

fn member(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let _clients = runtime.block_on(host.clients(size))?;
    let sockets = host.sockets();
    sockets.iter().try_for_each(|socket| socket.join("all")).map_err(Error::other)?;
    let work = async {
        for socket in sockets.iter().cycle().take(TIMES) {
            socket.leave("all");
            socket.join("all").map_err(Error::other)?;
        }
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| 2 * TIMES as u64)
}

fn members(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let _clients = runtime.block_on(host.clients(size))?;
    let times = 1 + 2000 / size;
    let work = async {
        for _ in 0..times {
            host.io.sockets_join("all").map_err(Error::other)?;
            host.io.sockets_leave("all").map_err(Error::other)?;
        }
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| 2 * (times * size) as u64)
}

/// Ten clients, of which each is in a tenth of the rooms, and one client in none.
async fn with_rooms(size: usize) -> io::Result<(Host, Vec<Client>, Vec<Socket>)> {
    let host = Host::new(0);
    let clients = host.clients(11).await?;
    let sockets = host.sockets();
    for (number, socket) in (0..size).zip(sockets.iter().take(10).cycle()) {
        socket.join(format!("room-{number}")).map_err(Error::other)?;
    }
    Ok((host, clients, sockets))
}

fn rooms(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (_host, _clients, mut sockets) = runtime.block_on(with_rooms(size))?;
    let socket = sockets.pop().ok_or_else(|| Error::other("no socket"))?;
    let work = async {
        for _ in 0..TIMES {
            socket.join("new").map_err(Error::other)?;
            socket.leave("new");
        }
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| 2 * TIMES as u64)
}

fn room(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (host, mut clients, sockets) = runtime.block_on(with_rooms(size))?;
    let mut members = sockets.iter().take(10);
    members.try_for_each(|socket| socket.join("ten")).map_err(Error::other)?;
    let work = async {
        for _ in 0..TIMES {
            host.io.to("ten").emit("cast", "hello").map_err(Error::other)?;
            for client in clients.iter_mut().take(10) {
                client.frames(1).await?;
            }
        }
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| 10 * TIMES as u64)
}

fn own_rooms(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let _client = runtime.block_on(host.client())?;
    let socket = host.sockets().pop().ok_or_else(|| Error::other("no socket"))?;
    let names: Vec<_> = (0..size).map(|number| format!("room-{number}")).collect();
    let work = async {
        for name in &names {
            socket.join(name.as_str()).map_err(Error::other)?;
        }
        names.iter().for_each(|name| socket.leave(name.as_str()));
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| 2 * size as u64)
}

fn end_in_rooms(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(0);
    let client = runtime.block_on(host.client())?;
    for socket in host.sockets() {
        for number in 0..size {
            socket.join(format!("room-{number}")).map_err(Error::other)?;
        }
    }
    let work = async {
        drop(client);
        host.ended(1).await;
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| size as u64)
}

async fn join(client: &mut Client, count: usize) -> io::Result<()> {
    for number in 0..count {
        client.send(&format!("40{},", namespace(number))).await?;
    }
    client.frames(count).await
}

fn namespaces(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let host = Host::new(size);
    let mut client = runtime.block_on(host.client())?;
    counted(runtime, pin!(join(&mut client, size))).map(|()| size as u64)
}

/// A client in `size` namespaces besides the main one.
fn member_of(runtime: &Runtime, size: usize) -> io::Result<(Host, Client)> {
    let host = Host::new(size);
    let mut client = runtime.block_on(host.client())?;
    runtime.block_on(join(&mut client, size))?;
    Ok((host, client))
}

fn event(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (_host, mut client) = member_of(runtime, size)?;
    echoes(runtime, &mut client, &message(&format!("{},", namespace(size - 1))))
}

fn quit(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (host, mut client) = member_of(runtime, size)?;
    let work = async {
        for number in 0..size {
            client.send(&format!("41{},", namespace(number))).await?;
        }
        host.ended(size).await;
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| size as u64)
}

fn disconnect(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (host, mut client) = member_of(runtime, size)?;
    let sockets = host.sockets();
    let work = async {
        sockets.iter().skip(1).for_each(Socket::disconnect);
        client.frames(size).await?;
        host.ended(size).await;
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| size as u64)
}

fn end(runtime: &Runtime, size: usize) -> io::Result<u64> {
    let (host, client) = member_of(runtime, size)?;
    let work = async {
        drop(client);
        host.ended(size + 1).await;
        Ok(())
    };
    counted(runtime, pin!(work)).map(|()| size as u64)
}
