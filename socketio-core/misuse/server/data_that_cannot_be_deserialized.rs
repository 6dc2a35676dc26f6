use socketio_server::{Data, Server};

struct Order;

fn main() {
    Server::new().on("order", |Data(_order): Data<Order>| async {});
}
