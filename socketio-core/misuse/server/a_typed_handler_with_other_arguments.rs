use socketio_server::{Event, Server, Socket};

const ADD: Event<(u32, u32), u32> = Event::new("add");

async fn add(_: Socket, text: String) -> u32 {
    text.len() as u32
}

fn main() {
    Server::new().handle(ADD, add);
}
