use socketio_client::Socket;

fn add_handlers(socket: &Socket) {
    let names = vec!["Ann".to_owned()];
    socket.on("names", || async { names.len() });
}

fn main() {}
