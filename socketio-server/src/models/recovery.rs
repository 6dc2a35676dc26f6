//! The lock of the log beside lost connections, returning clients and events of several threads.

use super::{Client, World, model, thread};
use crate::{Recovery, ServerConfig, Socket};

fn world() -> World {
    World::new(ServerConfig::default().connection_state_recovery(Recovery::default()))
}

/// The value of a field of a response to CONNECT.
fn field(connected: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(&connected[1..]).unwrap();
    value[name].as_str().unwrap().to_owned()
}

/// The number and the offset of an event `["n",NUMBER,"OFFSET"]`.
fn event(packet: &str) -> (u32, String) {
    let (_, number, offset): (String, u32, String) = serde_json::from_str(&packet[1..]).unwrap();
    (number, offset)
}

/// A session that a client can claim on another connection.
struct Session {
    sid: String,
    pid: String,
    /// The offset of the client's last event.
    offset: String,
}

impl Session {
    /// Connects a client, and sends event 0 to it.
    fn begin(world: &World) -> (Client, Socket, Self) {
        let mut client = world.open();
        client.send("40");
        let connected = client.receive().unwrap();
        let socket = world.next_socket();
        world.main.emit("n", &0).unwrap();
        let (number, offset) = event(&client.receive().unwrap());
        assert_eq!(number, 0);
        let (sid, pid) = (field(&connected, "sid"), field(&connected, "pid"));
        (client, socket, Self { sid, pid, offset })
    }

    fn claim(&self) -> String {
        let Self { pid, offset, .. } = self;
        format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#)
    }

    /// Recovers the session. Returns the events that arrive before the response to CONNECT.
    fn recover(&self, client: &mut Client) -> Vec<u32> {
        client.send(&self.claim());
        let mut packets = client.receive_until("0{");
        let connected = packets.pop().unwrap();
        assert_eq!(field(&connected, "sid"), self.sid, "the session is not recovered");
        packets.iter().map(|packet| event(packet).0).collect()
    }
}

/// Reads events up to a number.
fn numbers_up_to(client: &mut Client, last: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        numbers.push(event(&client.receive().unwrap()).0);
    }
    numbers
}

#[test]
fn all_clients_get_the_events_of_several_threads_in_one_order() {
    model(|| {
        let world = world();
        let clients = [world.connect(), world.connect()];
        let emitters = [0, 10].map(|first| {
            let main = world.main.clone();
            thread(move || (first..first + 2).for_each(|n| main.emit("n", &n).unwrap()))
        });
        let orders = clients.map(|(mut client, socket)| {
            drop(socket);
            let order: Vec<_> = (0..4).map(|_| event(&client.receive().unwrap())).collect();
            client.lose();
            order
        });
        for emitter in emitters {
            emitter.join().unwrap();
        }
        assert_eq!(orders[0], orders[1]);
    });
}

#[test]
fn a_returning_client_gets_each_event_once_in_order() {
    model(|| {
        let world = world();
        let (mut client, socket, mut session) = Session::begin(&world);
        socket.join("room").unwrap();
        drop(socket);
        let main = world.main.clone();
        let emitter = thread(move || (1..5).for_each(|n| main.to("room").emit("n", &n).unwrap()));
        // The client may read an event before its connection is lost.
        let mut numbers = Vec::new();
        for packet in std::mem::take(&mut client.received) {
            let (number, latest) = event(&packet);
            numbers.push(number);
            session.offset = latest;
        }
        client.lose();
        let mut client = world.open();
        numbers.extend(session.recover(&mut client));
        if numbers.last() != Some(&4) {
            numbers.extend(numbers_up_to(&mut client, 4));
        }
        assert_eq!(numbers, [1, 2, 3, 4]);
        emitter.join().unwrap();
        client.lose();
    });
}

#[test]
fn a_recovered_client_with_its_response_to_connect_misses_no_event() {
    model(|| {
        let world = world();
        let (client, _, session) = Session::begin(&world);
        client.lose();
        let mut client = world.open();
        session.recover(&mut client);
        // Volatile events are not ordered by the log.
        assert_eq!(world.main.broadcast().targets().len(), 1);
        drop(world.next_socket());
        client.lose();
    });
}

#[test]
fn a_client_that_returns_before_its_loss_is_noticed_gets_each_event_once() {
    model(|| {
        let world = world();
        let (client, _, session) = Session::begin(&world);
        let main = world.main.clone();
        let emitter = thread(move || (1..4).for_each(|n| main.emit("n", &n).unwrap()));
        let mut returning = world.open();
        let mut numbers = session.recover(&mut returning);
        if numbers.last() != Some(&3) {
            numbers.extend(numbers_up_to(&mut returning, 3));
        }
        assert_eq!(numbers, [1, 2, 3]);
        emitter.join().unwrap();
        client.lose();
        returning.lose();
        assert_eq!(world.main.hub().len(), 0);
    });
}

#[test]
fn of_two_claims_at_once_one_has_the_session_in_the_end() {
    model(|| {
        let world = world();
        let (client, _, session) = Session::begin(&world);
        let claims = [world.open(), world.open()].map(|mut claiming| {
            let connect = session.claim();
            thread(move || {
                claiming.send(&connect);
                let response = claiming.receive();
                (claiming, response.map(|response| field(&response, "sid")))
            })
        });
        let claims = claims.map(|claim| claim.join().unwrap());
        assert!(claims.iter().any(|(_, response)| response.as_ref() == Some(&session.sid)));
        for (claiming, _) in claims {
            claiming.lose();
        }
        client.lose();
        assert_eq!(world.main.hub().len(), 0);
    });
}
