use socketio_client::Socket;

struct Receipt;

fn add(socket: Socket) {
    socket.on("pay", || async { Receipt });
}

fn main() {}
