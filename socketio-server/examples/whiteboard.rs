//! A whiteboard for several people: the board keeps lines for people who come later, but not pointers.
//!
//! ```sh
//! cargo run -p socketio-server --example whiteboard     # open http://127.0.0.1:3000 twice
//! ```

mod shared;

use std::{
    collections::VecDeque,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use socketio_server::{Data, HandlerError, Server, Socket};

/// Lines that the board keeps. Beyond that it forgets the oldest.
const MAX_LINES: usize = 20_000;
const MAX_LINES_PER_EVENT: usize = 500;

/// A straight piece of a stroke. Coordinates are from 0 to 1, so that boards of all sizes fit.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Line {
    from: (f32, f32),
    to: (f32, f32),
    /// Red, green and blue.
    color: (u8, u8, u8),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = Server::with_config(shared::config()?);
    let board: Arc<Mutex<VecDeque<Line>>> = Arc::default();

    let known = board.clone();
    io.on_connection(move |socket: Socket| {
        // The lock is held until the event is queued, so that no line is missed or sent twice.
        let lines = known.lock().unwrap_or_else(PoisonError::into_inner);
        socket.emit("board", &(&*lines,))?;
        Ok::<_, HandlerError>(())
    });
    let known = board.clone();
    io.on("draw", move |socket: Socket, Data((new,)): Data<(Vec<Line>,)>| {
        if new.len() > MAX_LINES_PER_EVENT {
            return Err(HandlerError::public("too many lines at once"));
        }
        let mut lines = known.lock().unwrap_or_else(PoisonError::into_inner);
        socket.broadcast().emit("draw", &(&new,))?;
        lines.extend(new);
        let surplus = lines.len().saturating_sub(MAX_LINES);
        lines.drain(..surplus);
        Ok(())
    });
    io.on("clear", move |socket: Socket| {
        let mut lines = board.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clear();
        socket.namespace().emit("board", &(&*lines,))?;
        Ok::<_, HandlerError>(())
    });
    // A client that is slow misses positions of pointers, and gets the next one.
    io.on("pointer", |socket: Socket, Data((x, y)): Data<(f32, f32)>| {
        socket.broadcast().volatile().emit("pointer", &(socket.id(), x, y))?;
        Ok::<_, HandlerError>(())
    });
    io.on_disconnect(|socket: Socket| {
        socket.broadcast().emit("pointer gone", socket.id())?;
        Ok::<_, HandlerError>(())
    });
    shared::run(io, include_str!("pages/whiteboard.html")).await
}
