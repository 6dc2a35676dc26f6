use socketio_client::Socket;

async fn join(socket: &Socket) {
    let _ = socket.id();
}

fn add_handlers(socket: &Socket) {
    socket.on("join", join);
    socket.on("join", |socket: &Socket| socket.id().len());
}

fn main() {}
