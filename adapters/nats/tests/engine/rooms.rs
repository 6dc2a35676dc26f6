//! Tests of the subjects of rooms.

use engines::Nats;
use socketio_adapter_nats::NatsAdapter;

use crate::{Node, adapter, config, suite::until};

#[tokio::test]
async fn a_node_receives_only_messages_for_its_rooms() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let long = "long ".repeat(100);
    let rooms = ["a", "*", ">", "a.b", "", "é \r\n", &long];
    for (n, room) in rooms.into_iter().enumerate() {
        one.publish_now(&[room], "not yet").await;
        // NATS has processed the message to the room once the message after it arrives.
        one.publish_now(&[], "said").await;
        until(|| async { two.events().iter().filter(|it| *it == "said").count() > n }).await;
        two.join_room(room).await;
        one.publish_now(&[room], room).await;
    }
    one.publish_now(&["nobody's"], "not at all").await;
    one.publish_now(&["nobody's", "either"], "to several").await;
    two.link.room_vanished(&"a".into());
    until(|| async { !two.adapter.receives("/", "a") }).await;
    one.publish_now(&[], "fence").await;
    until(|| async { two.events().iter().any(|event| event == "fence") }).await;
    // A message to a room without a subject goes to all nodes, like one to several rooms.
    let expected = ["a", "*", ">", "a.b", "", "é \r\n", "not yet", &long, "to several", "fence"];
    let mut events = two.events();
    events.retain(|event| event != "said");
    assert_eq!(events, expected);
    assert!(one.inbox.messages().is_empty(), "a node does not receive its own messages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_order_across_subjects() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let three = Node::join(adapter(&engine).await, "/", "three").await;
    let rooms: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        two.join_room(room).await;
    }
    let count = 5000;
    let publish_all = async |node: &Node| {
        for n in 0..count {
            let room: Vec<&str> =
                rooms.iter().map(String::as_str).skip(n * 7 % 21).take(1).collect();
            node.publish_now(&room, &format!("{}{n}", node.uid)).await;
        }
    };
    tokio::join!(publish_all(&one), publish_all(&three));
    two.inbox.wait(2 * count).await;
    for speaker in [&one, &three] {
        let events = two.events();
        let own = events.iter().filter_map(|event| event.strip_prefix(&speaker.uid));
        let own: Vec<usize> = own.map(|n| n.parse().unwrap()).collect();
        assert_eq!(own, (0..count).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn short_lived_rooms_leave_no_subscriptions() {
    let engine = Nats::start().unwrap();
    let config = config(&engine).await;
    let node = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    let other = Node::join(adapter(&engine).await, "/", "two").await;
    for n in 0..2000 {
        node.link.room_appeared(&format!("{n}").as_str().into());
        node.link.room_vanished(&format!("{n}").as_str().into());
    }
    node.join_room("stays").await;
    for n in 0..2000 {
        other.publish_now(&[&format!("{n}")], "gone").await;
        assert!(!node.adapter.receives("/", &format!("{n}")));
    }
    other.publish_now(&["stays"], "here").await;
    node.inbox.wait(1).await;
    assert_eq!(node.events(), ["here"]);
}
