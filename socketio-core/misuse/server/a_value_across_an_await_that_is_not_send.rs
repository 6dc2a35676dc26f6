use std::{future::ready, rc::Rc, sync::Mutex};

use socketio_server::Server;

fn main() {
    Server::new().on("rc", || async {
        let value = Rc::new(1);
        ready(()).await;
        *value
    });
    static COUNT: Mutex<u32> = Mutex::new(0);
    Server::new().on("guard", || async {
        let mut count = COUNT.lock().unwrap();
        ready(()).await;
        *count += 1;
    });
}
