use socketio_server::{Event, Server};

const ADD: Event<(u32, u32), u32> = Event::new("add");

fn main() {
    Server::new().handle(ADD, |_, (a, b)| async move { format!("{}", a + b) });
}
