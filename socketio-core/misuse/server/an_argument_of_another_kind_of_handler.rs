use socketio_server::{Data, DisconnectReason, Rewrite, Server};

fn main() {
    let io = Server::new();
    io.on_disconnect(|_: Data<String>| async {});
    io.on_connection(|_: DisconnectReason| async {});
    io.on("say", |_: Rewrite| async {});
}
