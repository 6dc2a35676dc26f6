use socketio_client::{Ack, Args, Data, EventName, Socket};

fn add(socket: &Socket) {
    socket.on(
        "many",
        |_: Socket, _: Data<u8>, _: EventName, _: Args, _: Ack, _: Data<u16>, _: Data<u32>| {},
    );
}

fn main() {}
