//! Broadcasts of one sender arrive in order, whatever other senders emit.

use crate::support;

use support::{server, within};

const SENDERS: usize = 4;
const EACH: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broadcasts_of_one_sender_arrive_in_order() {
    let server = server().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    let senders = (0..SENDERS).map(|sender| {
        let io = server.io.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                io.emit("cast", &(sender, n)).unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        within(sender).await.unwrap();
    }
    for client in [&mut one, &mut two] {
        let mut next = [0; SENDERS];
        for _ in 0..SENDERS * EACH {
            let text = client.text().await;
            let list: (String, usize, usize) = serde_json::from_str(&text[2..]).unwrap();
            assert_eq!(next[list.1], list.2, "{text}");
            next[list.1] += 1;
        }
        client.fence().await;
    }
}
