use socketio_server::{Server, Socket};

async fn join(socket: &Socket) {
    let _ = socket.id();
}

fn main() {
    Server::new().on("join", join);
    Server::new().on("join", |socket: &Socket| socket.id().len());
}
