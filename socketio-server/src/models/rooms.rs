//! Members that join, leave and vanish beside broadcasts, and the tasks that watch the rooms.

use std::{collections::BTreeSet, sync::Arc};

use bytestring::ByteString;
use shuttle::future::{block_on, spawn};
use socketio_adapter::{Room, Selection};

use super::{World, model, thread};
use crate::{
    ServerConfig,
    namespace::hub::{Hub, Member, RoomLimits},
};

#[derive(Clone)]
struct Named(ByteString);

impl Member for Named {
    fn id(&self) -> &ByteString {
        &self.0
    }
}

fn join(hub: &Hub<Named>, id: &str, room: &str) {
    hub.join(id, vec![room.into()], RoomLimits::NONE).unwrap();
}

#[test]
fn a_broadcast_selects_each_member_once_while_others_come_and_leave() {
    model(|| {
        let hub = Arc::new(Hub::default());
        hub.insert(Named("stays".into()));
        join(&hub, "stays", "room");
        let visitors = ["a", "b"].map(|id| {
            let hub = hub.clone();
            thread(move || {
                hub.insert(Named(id.into()));
                join(&hub, id, "room");
                hub.leave(id, &["room".into()]);
                join(&hub, id, "room");
                hub.remove(id);
            })
        });
        for _ in 0..3 {
            let (mut selection, mut selected) = (Selection::default(), Vec::new());
            selection.to(vec![Room::from("room"), Room::from("stays")]);
            hub.select(&selection, None, &mut selected);
            let mut ids: Vec<_> = selected.iter().map(|it: &Named| &*it.0).collect();
            ids.sort_unstable();
            assert_eq!(ids.last(), Some(&"stays"));
            assert!(ids.is_sorted_by(|one, two| one < two), "{ids:?}");
        }
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!((hub.len(), hub.rooms()), (1, vec![("room".into(), 1)]));
    });
}

#[test]
fn a_task_that_watches_the_rooms_sees_their_last_state() {
    model(|| {
        let hub = Arc::new(Hub::default());
        hub.watch_rooms(false);
        let watched = hub.clone();
        let watcher = spawn(async move {
            let (changed, mut rooms) = (watched.rooms_changed(), BTreeSet::<Room>::new());
            while !rooms.contains("last") {
                changed.notified().await;
                for (room, present) in watched.take_changed() {
                    if present {
                        rooms.insert(room)
                    } else {
                        rooms.remove(&room)
                    };
                }
            }
            rooms
        });
        let visitors = ["a", "b"].map(|id| {
            let hub = hub.clone();
            thread(move || {
                hub.insert(Named(id.into()));
                join(&hub, id, "room");
                join(&hub, id, id);
                hub.leave(id, &["room".into()]);
            })
        });
        for visitor in visitors {
            visitor.join().unwrap();
        }
        join(&hub, "a", "last");
        let expected: BTreeSet<_> = hub.rooms().into_iter().map(|(room, _)| room).collect();
        assert_eq!(block_on(watcher).unwrap(), expected);
    });
}

#[test]
fn a_socket_that_joins_beside_its_end_is_in_no_room() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let (client, socket) = world.connect();
        let joining = thread(move || {
            let _ = socket.join("a");
            let _ = socket.join("b");
            socket.leave("a");
        });
        let main = world.main.clone();
        let emitter = thread(move || main.to("a").emit("n", &1).unwrap());
        client.lose();
        joining.join().unwrap();
        emitter.join().unwrap();
        world.assert_empty();
        block_on(world.main.0.all_sockets_dropped());
    });
}
