use socketio_client::Socket;

fn add_handlers(socket: &Socket) {
    socket.on("join", |socket| async {});
}

fn main() {}
