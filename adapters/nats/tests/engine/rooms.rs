//! Subjects of rooms.

use engines::Nats;
use socketio_adapter_nats::NatsAdapter;

use crate::{Node, adapter, config, suite::until};

#[tokio::test]
async fn a_node_gets_what_its_rooms_need_and_nothing_else() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let long = "long ".repeat(100);
    let rooms = ["a", "*", ">", "a.b", "", "é \r\n", &long];
    for (n, room) in rooms.into_iter().enumerate() {
        one.say(&[room], "not yet").await;
        // The engine has it when it has what was said after it.
        one.say(&[], "said").await;
        until(|| async { two.events().iter().filter(|it| *it == "said").count() > n }).await;
        two.enter(room).await;
        one.say(&[room], room).await;
    }
    one.say(&["nobody's"], "not at all").await;
    one.say(&["nobody's", "either"], "to several").await;
    two.link.room_vanished(&"a".into());
    until(|| async { !two.adapter.hears("/", "a") }).await;
    one.say(&[], "fence").await;
    until(|| async { two.events().iter().any(|event| event == "fence") }).await;
    // What has no subject of its own comes to all, as what is for several rooms does.
    let expected = ["a", "*", ">", "a.b", "", "é \r\n", "not yet", &long, "to several", "fence"];
    let mut events = two.events();
    events.retain(|event| event != "said");
    assert_eq!(events, expected);
    assert!(one.inbox.messages().is_empty(), "nothing of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_across_subjects() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let three = Node::join(adapter(&engine).await, "/", "three").await;
    let rooms: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        two.enter(room).await;
    }
    let count = 5000;
    let speak = async |node: &Node| {
        for n in 0..count {
            let room: Vec<&str> =
                rooms.iter().map(String::as_str).skip(n * 7 % 21).take(1).collect();
            node.say(&room, &format!("{}{n}", node.uid)).await;
        }
    };
    tokio::join!(speak(&one), speak(&three));
    two.inbox.wait(2 * count).await;
    for speaker in [&one, &three] {
        let events = two.events();
        let own = events.iter().filter_map(|event| event.strip_prefix(&speaker.uid));
        let own: Vec<usize> = own.map(|n| n.parse().unwrap()).collect();
        assert_eq!(own, (0..count).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn rooms_that_come_and_go_leave_nothing() {
    let engine = Nats::start().unwrap();
    let config = config(&engine).await;
    let node = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    let other = Node::join(adapter(&engine).await, "/", "two").await;
    for n in 0..2000 {
        node.link.room_appeared(&format!("{n}").as_str().into());
        node.link.room_vanished(&format!("{n}").as_str().into());
    }
    node.enter("stays").await;
    for n in 0..2000 {
        other.say(&[&format!("{n}")], "gone").await;
        assert!(!node.adapter.hears("/", &format!("{n}")));
    }
    other.say(&["stays"], "here").await;
    node.inbox.wait(1).await;
    assert_eq!(node.events(), ["here"]);
}
