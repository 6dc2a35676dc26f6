use socketio_server::{Server, State};

struct Database;

fn main() {
    Server::new().on("query", |State(_database): State<Database>| async {});
}
