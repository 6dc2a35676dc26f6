use socketio_server::Server;

async fn load() -> Result<String, std::io::Error> {
    std::fs::read_to_string("file")
}

fn main() {
    Server::new().on("load", load);
    Server::new().on("load", || std::fs::read_to_string("file"));
}
