use socketio_server::{Server, Socket};

fn main() {
    Server::new().on("add", |_: Socket, _: u32| async {});
}
