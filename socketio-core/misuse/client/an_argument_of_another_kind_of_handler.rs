use socketio_client::{Data, DisconnectReason, Socket};

fn add(socket: &Socket) {
    socket.on_disconnect(|_: Data<String>| async {});
    socket.on_connect(|_: DisconnectReason| async {});
    socket.on("say", |_: DisconnectReason| async {});
}

fn main() {}
