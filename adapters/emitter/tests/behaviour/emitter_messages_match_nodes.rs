//! Each method publishes one cluster message with its namespace. The sender id is the one reserved
//! for emitters.

use std::sync::{Arc, Mutex};

use socketio_adapter::{BoxFuture, NodeId, Room};
use socketio_emitter::{AdapterError, EmitError, Emitter, Message, Publish};

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Message>>>);

impl Publish for Recorder {
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
        self.0.lock().unwrap().push(message.clone());
        Box::pin(async { Ok(()) })
    }
}

impl Recorder {
    fn last(&self) -> String {
        let message = self.0.lock().unwrap().pop().unwrap();
        assert_eq!(message.uid.as_str(), NodeId::EMITTER);
        message.to_json().unwrap()
    }
}

#[tokio::test]
async fn messages_have_the_wire_format_of_nodes_emitters() {
    let recorder = Recorder::default();
    let emitter = Emitter::new(recorder.clone());
    emitter.to("r1").except("r2").volatile().emit("x", &()).await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":{"rooms":["r1"],"except":["r2"],"flags":{"volatile":true}}},"uid":"emitter","nsp":"/"}"#
    );
    emitter.of("chat").compress(false).emit("x", &(1, "a")).await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":3,"data":{"packet":{"type":2,"data":["x",1,"a"]},"opts":{"rooms":[],"except":[],"flags":{"compress":false}}},"uid":"emitter","nsp":"/chat"}"#
    );
    emitter.in_(["a", "b"]).sockets_join(["c", "d"]).await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":4,"data":{"opts":{"rooms":["a","b"],"except":[],"flags":{}},"rooms":["c","d"]},"uid":"emitter","nsp":"/"}"#
    );
    emitter.sockets_leave("c").await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":5,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["c"]},"uid":"emitter","nsp":"/"}"#
    );
    emitter.except("a").close_connections().await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":6,"data":{"opts":{"rooms":[],"except":["a"],"flags":{}},"close":true},"uid":"emitter","nsp":"/"}"#
    );
    emitter.server_side_emit("ping", &vec![1, 2]).await.unwrap();
    assert_eq!(
        recorder.last(),
        r#"{"type":9,"data":{"packet":["ping",[1,2]]},"uid":"emitter","nsp":"/"}"#
    );
}

#[tokio::test]
async fn reserved_event_names_are_refused() {
    let emitter = Emitter::new(Recorder::default());
    for event in ["connect", "disconnect", "connect_error", "disconnecting"] {
        let error = emitter.emit(event, &()).await.unwrap_err();
        assert!(matches!(error, EmitError::Encode(_)), "{event}: {error}");
    }
}

#[tokio::test]
async fn an_empty_list_of_rooms_is_not_published() {
    let recorder = Recorder::default();
    let emitter = Emitter::new(recorder.clone());
    let nobody = emitter.to(Vec::<Room>::new()).except("a");
    nobody.emit("x", &()).await.unwrap();
    nobody.sockets_join("b").await.unwrap();
    nobody.sockets_leave("b").await.unwrap();
    nobody.close_connections().await.unwrap();
    assert!(recorder.0.lock().unwrap().is_empty());
    nobody.to("c").emit("x", &()).await.unwrap();
    assert!(recorder.last().contains(r#""rooms":["c"],"except":["a"]"#));
    emitter.except(Vec::<Room>::new()).emit("x", &()).await.unwrap();
    assert!(recorder.last().contains(r#""rooms":[],"except":[]"#));
}
