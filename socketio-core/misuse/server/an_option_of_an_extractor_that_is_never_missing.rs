use socketio_server::{Server, Socket};

fn main() {
    Server::new().on("add", |_: Option<Socket>| async {});
}
