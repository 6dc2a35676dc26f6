use socketio_client::{Event, Socket};

const ADD: Event<(u32, u32), u32> = Event::new("add");

fn emit(socket: &Socket) {
    let _ = socket.emit_event(ADD, &("one", "two"));
}

fn main() {}
