use serde::Serialize;
use socketio_client::Socket;

#[derive(Serialize)]
struct Receipt;

async fn pay() -> Receipt {
    Receipt
}

fn add_handlers(socket: &Socket) {
    socket.on("pay", pay);
    socket.on("pay", || Receipt);
}

fn main() {}
