use socketio_client::Socket;

fn add_handlers(socket: &Socket) {
    socket.on("add", |_: Socket, _: u32| async {});
}

fn main() {}
