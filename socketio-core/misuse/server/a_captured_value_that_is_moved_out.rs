use socketio_server::Server;

fn main() {
    let names = vec!["Ann".to_owned()];
    Server::new().on("names", move || async move { names });
}
