use socketio_client::Socket;

fn add_handlers(socket: &Socket) {
    socket.on("add", |_: Option<Socket>| async {});
}

fn main() {}
