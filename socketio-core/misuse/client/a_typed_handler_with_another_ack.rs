use socketio_client::{Event, Socket};

const ADD: Event<(u32, u32), u32> = Event::new("add");

fn add_handlers(socket: &Socket) {
    socket.handle(ADD, |_, (a, b)| async move { format!("{}", a + b) });
}

fn main() {}
