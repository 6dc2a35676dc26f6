use socketio_client::{Event, Socket};

const ADD: Event<(u32, u32), u32> = Event::new("add");

async fn add(_: Socket, text: String) -> u32 {
    text.len() as u32
}

fn add_handlers(socket: &Socket) {
    socket.handle(ADD, add);
}

fn main() {}
