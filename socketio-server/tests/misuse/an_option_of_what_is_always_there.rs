use socketio_server::{Extract, Socket};

fn is_extractor<X: Extract>() {}

fn main() {
    is_extractor::<Option<Socket>>();
}
