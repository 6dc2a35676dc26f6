//! Two thousand clients in memory join and leave rooms, emit, request acks, disconnect and return
//! at random. Each client gets the events that a small model predicts, in the same order.
#![cfg(feature = "testing")]

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use socketio_server::{Data, Server, Socket, testing::TestClient};

const CLIENTS: usize = 2000;
const ROOMS: usize = 60;

#[derive(Clone, Debug)]
enum Step {
    Join(usize, usize),
    Leave(usize, usize),
    /// A client broadcasts to a room, several times in one body.
    Say(usize, usize, usize),
    /// The server emits to one room except another.
    Announce(usize, usize),
    /// The server emits to all sockets.
    Shout,
    /// The server requests an ack from one client.
    Ask(usize),
    Part(usize, DisconnectKind),
    Return(usize),
}

#[derive(Clone, Copy, Debug)]
enum DisconnectKind {
    Disconnect,
    Close,
    Lose,
    Kick,
}

/// The model's state of one client.
#[derive(Default)]
struct Model {
    here: bool,
    rooms: BTreeSet<usize>,
    due: VecDeque<String>,
}

fn step() -> impl Strategy<Value = Step> {
    let (client, room) = (0..CLIENTS, 0..ROOMS);
    let way = prop_oneof![
        Just(DisconnectKind::Disconnect),
        Just(DisconnectKind::Close),
        Just(DisconnectKind::Lose),
        Just(DisconnectKind::Kick)
    ];
    prop_oneof![
        8 => (client.clone(), room.clone()).prop_map(|(client, room)| Step::Join(client, room)),
        2 => (client.clone(), room.clone()).prop_map(|(client, room)| Step::Leave(client, room)),
        8 => (client.clone(), room.clone(), 1..4_usize).prop_map(|(a, b, c)| Step::Say(a, b, c)),
        4 => (room.clone(), room).prop_map(|(to, except)| Step::Announce(to, except)),
        2 => client.clone().prop_map(Step::Ask),
        2 => (client.clone(), way).prop_map(|(client, way)| Step::Part(client, way)),
        2 => client.prop_map(Step::Return),
        // A connect costs as much as a thousand other steps.
        1 => (0..20_u8).prop_filter_map("seldom", |n| (n == 0).then_some(Step::Shout)),
    ]
}

fn room(number: usize) -> String {
    format!("room {number}")
}

struct World {
    io: Server,
    clients: Vec<TestClient>,
    models: Vec<Model>,
    said: usize,
}

impl World {
    async fn new() -> Self {
        let io = Server::new();
        io.on("join", |socket: Socket, Data(room): Data<String>| async move {
            socket.join(room)?;
            Ok(true)
        });
        io.on("leave", |socket: Socket, Data(room): Data<String>| async move {
            socket.leave(room);
            true
        });
        io.on("say", |socket: Socket, Data((room, text)): Data<(String, String)>| async move {
            socket.to(room).emit("said", &text)?;
            Ok(())
        });
        io.on("fence", || async { true });
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(TestClient::connect(&io, "/", &()).await.unwrap());
        }
        let here = || Model { here: true, ..Model::default() };
        let models = clients.iter().map(|_| here()).collect();
        Self { io, clients, models, said: 0 }
    }

    fn text(&mut self) -> String {
        self.said += 1;
        format!("text {}", self.said)
    }

    /// Records the expected event for each client.
    fn due(&mut self, text: &str, gets: impl Fn(usize, &Model) -> bool) {
        for (index, model) in self.models.iter_mut().enumerate() {
            if model.here && gets(index, model) {
                model.due.push_back(text.to_owned());
            }
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Join(who, where_) if self.models[who].here => {
                let joined = self.clients[who].emit_with_ack::<bool>("join", &room(where_)).await;
                assert!(joined.unwrap());
                self.models[who].rooms.insert(where_);
            }
            Step::Leave(who, where_) if self.models[who].here => {
                let left = self.clients[who].emit_with_ack::<bool>("leave", &room(where_)).await;
                assert!(left.unwrap());
                self.models[who].rooms.remove(&where_);
            }
            Step::Say(who, where_, times) if self.models[who].here => {
                let texts: Vec<_> = (0..times).map(|_| self.text()).collect();
                let events = texts.iter().map(|text| ("say", (room(where_), text)));
                self.clients[who].emit_all(events).await.unwrap();
                assert!(self.clients[who].emit_with_ack::<bool>("fence", &()).await.unwrap());
                for text in texts {
                    self.due(&text, |index, it| index != who && it.rooms.contains(&where_));
                }
            }
            Step::Announce(to, except) => {
                let text = self.text();
                self.io.to(room(to)).except(room(except)).emit("said", &text).unwrap();
                self.due(&text, |_, it| it.rooms.contains(&to) && !it.rooms.contains(&except));
            }
            Step::Shout => {
                let text = self.text();
                self.io.emit("said", &text).unwrap();
                self.due(&text, |_, _| true);
            }
            Step::Ask(who) if self.models[who].here => {
                // Earlier events precede the CONNECT response.
                self.read(who).await;
                let socket = self.io.of("/").socket(self.clients[who].id()).unwrap();
                let ask = socket.emit_with_ack::<usize>("ask", &who);
                let answer = async {
                    let question = self.clients[who].next().await.unwrap();
                    assert_eq!(question.decode::<usize>().unwrap(), who);
                    question.ack(&(who + 1)).await.unwrap();
                };
                let (asked, ()) = tokio::join!(ask, answer);
                assert_eq!(asked.unwrap(), who + 1);
            }
            Step::Part(who, way) if self.models[who].here => {
                self.read(who).await;
                let socket = self.io.of("/").socket(self.clients[who].id()).unwrap();
                match way {
                    DisconnectKind::Disconnect => self.clients[who].disconnect().await.unwrap(),
                    DisconnectKind::Close => self.clients[who].close().await.unwrap(),
                    DisconnectKind::Lose => self.clients[who].drop_connection(),
                    DisconnectKind::Kick => socket.disconnect(),
                }
                socket.disconnected().await;
                self.models[who] = Model::default();
            }
            Step::Return(who) if !self.models[who].here => {
                self.clients[who].reconnect().await.unwrap();
                self.models[who].here = true;
            }
            _ => {}
        }
    }

    /// Checks that one client has received exactly the expected events so far.
    async fn read(&mut self, who: usize) {
        while let Some(text) = self.models[who].due.pop_front() {
            assert_eq!(self.clients[who].expect::<String>("said").await.unwrap(), text);
        }
    }

    async fn check(mut self) {
        // An unexpected event would arrive before this one.
        self.take(Step::Shout).await;
        for who in 0..CLIENTS {
            self.read(who).await;
        }
        let here = self.models.iter().filter(|model| model.here).count();
        assert_eq!(self.io.of("/").sockets_count(), here);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn two_thousand_sockets_match_a_model(steps in prop::collection::vec(step(), 1000..2000)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
            }
            world.check().await;
        });
    }
}
