use socketio_server::{Data, EventName, Server, Socket, State};

fn main() {
    Server::new().on(
        "many",
        |_: Socket, _: Data<u8>, _: EventName, _: State<u8>, _: State<u16>, _: State<u32>, _: State<u64>| {},
    );
}
