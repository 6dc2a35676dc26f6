use serde::Serialize;
use socketio_server::Server;

#[derive(Serialize)]
struct Receipt;

async fn pay() -> Receipt {
    Receipt
}

fn main() {
    Server::new().on("pay", pay);
    Server::new().on("pay", || Receipt);
}
