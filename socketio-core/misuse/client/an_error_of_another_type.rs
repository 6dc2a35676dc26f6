use socketio_client::Socket;

async fn load() -> Result<String, std::io::Error> {
    std::fs::read_to_string("file")
}

fn add_handlers(socket: &Socket) {
    socket.on("load", load);
    socket.on("load", || std::fs::read_to_string("file"));
}

fn main() {}
