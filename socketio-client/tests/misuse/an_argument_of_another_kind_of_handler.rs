use socketio_client::{ConnectError, Data, DisconnectReason, Socket};

fn add(socket: Socket) {
    socket.on("disconnect", |_: DisconnectReason| async {});
    socket.on_disconnect(|_: ConnectError| async {});
    socket.on_connect(|_: Data<String>| async {});
}

fn main() {}
