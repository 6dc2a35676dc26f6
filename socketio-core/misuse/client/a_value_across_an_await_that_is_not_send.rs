use std::{future::ready, rc::Rc, sync::Mutex};

use socketio_client::Socket;

fn add_handlers(socket: &Socket) {
    socket.on("rc", || async {
        let value = Rc::new(1);
        ready(()).await;
        *value
    });
    static COUNT: Mutex<u32> = Mutex::new(0);
    socket.on("guard", || async {
        let mut count = COUNT.lock().unwrap();
        ready(()).await;
        *count += 1;
    });
}

fn main() {}
