use socketio_client::{Data, Socket};

struct Order;

fn add_handlers(socket: &Socket) {
    socket.on("order", |Data(_order): Data<Order>| async {});
}

fn main() {}
