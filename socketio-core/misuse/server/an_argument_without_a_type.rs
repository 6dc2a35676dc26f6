use socketio_server::Server;

fn main() {
    Server::new().on("join", |socket| async {});
}
