use socketio_server::{Event, Server};

const ADD: Event<(u32, u32), u32> = Event::new("add");

fn main() {
    let _ = Server::new().emit_event(ADD, &("one", "two"));
}
