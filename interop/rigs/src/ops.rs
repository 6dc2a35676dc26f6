//! The operations that every node of the test cluster executes for its clients, in the namespaces
//! `/` and `/chat`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use socketio_server::{
    Auth, Broadcast, BroadcastAckError, Data, FetchError, HandlerError, Namespace, RemoteSocket,
    Server, ServerEvent, ServerSideError, Socket, Value, Values, value,
};

/// The `auth` of a client.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Hello {
    join: Vec<String>,
    data: serde_json::Value,
}

/// The operation that a client requests.
#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Op {
    op: String,
    to: Vec<String>,
    except: Vec<String>,
    rooms: Vec<String>,
    flags: Flags,
    local: bool,
    close: bool,
    timeout: Option<u64>,
    event: String,
    args: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Flags {
    volatile: bool,
    local: bool,
    compress: Option<bool>,
}

type Log = Arc<Mutex<Vec<Value>>>;

/// Registers the handlers of a node.
pub fn serve(io: &Server, name: &str) {
    for namespace in [io.of("/"), io.of("/chat")] {
        declare(&namespace, name);
    }
}

fn declare(namespace: &Namespace, name: &str) {
    let (name, log) = (Arc::<str>::from(name), Log::default());
    namespace.use_(|socket: Socket, Auth(hello): Auth<Option<Hello>>| async move {
        // A recovered socket has its rooms and data already, also if Node stored its session.
        if socket.recovered() {
            return Ok(());
        }
        let hello = hello.unwrap_or_default();
        socket.join(hello.join)?;
        socket.set_shared(&hello.data)?;
        Ok(())
    });
    let (heard, own) = (log.clone(), name.clone());
    namespace.on_any_server_side(move |event: ServerEvent| {
        let (heard, own) = (heard.clone(), own.clone());
        async move {
            let mut list = vec![Value::from(event.event())];
            list.extend(event.args().values()?);
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(Value::Array(list));
            match event.event() {
                "null" => event.reply(&Values(vec![Value::Null]))?,
                "nothing" => event.reply(&())?,
                _ => event.reply(&*own)?,
            }
            Ok(())
        }
    });
    namespace.on("op", move |socket: Socket, Data(op): Data<Op>| {
        let (name, log) = (name.clone(), log.clone());
        async move { run(&socket, op, &name, &log).await.unwrap_or_else(|error| failed(&error)) }
    });
}

async fn run(socket: &Socket, op: Op, name: &str, log: &Log) -> Result<Value, HandlerError> {
    let namespace = socket.namespace();
    let everybody = || op.select(namespace.except([""; 0]));
    match op.op.as_str() {
        "whoami" => return Ok(name.into()),
        "emit" => everybody().emit(&op.event, &Values(op.args.clone()))?,
        "broadcast" => op.select(socket.broadcast()).emit(&op.event, &Values(op.args.clone()))?,
        "emitWithAck" => {
            let timeout = Duration::from_millis(op.timeout.unwrap_or(5000));
            let asked = everybody().timeout(timeout);
            return match asked.emit_with_ack(&op.event, &Values(op.args.clone())).await {
                Ok(responses) => Ok(responded(responses, None)),
                Err(BroadcastAckError::Emit(error)) => Err(error.into()),
                Err(error) => {
                    let text = error.to_string();
                    let BroadcastAckError::Partial { responses, .. } = error else {
                        return Err(HandlerError::public(text));
                    };
                    Ok(responded(responses, Some(text)))
                }
            };
        }
        "fetchSockets" => {
            let mut selected = everybody();
            if op.local {
                selected = selected.local();
            }
            if let Some(timeout) = op.timeout {
                selected = selected.timeout(Duration::from_millis(timeout));
            }
            return Ok(fetched(selected.fetch_sockets().await));
        }
        "socketsJoin" => everybody().sockets_join(op.rooms.clone())?,
        "socketsLeave" => everybody().sockets_leave(op.rooms.clone())?,
        "disconnectSockets" => match op.close {
            true => everybody().close_connections()?,
            false => everybody().disconnect_sockets()?,
        },
        "serverSideEmit" => {
            let (event, args) = op.server_side()?;
            namespace.server_side_emit(event, &args)?;
        }
        "serverSideEmitWithAck" => {
            let (event, args) = op.server_side()?;
            return Ok(match namespace.server_side_emit_with_ack(event, &args).await {
                Ok(responses) => responded(responses, None),
                Err(error) => {
                    let text = error.to_string();
                    match error {
                        ServerSideError::Partial { responses, .. } => {
                            responded(responses, Some(text))
                        }
                        _ => responded(Vec::new(), Some(text)),
                    }
                }
            });
        }
        "serverSideLog" => {
            let heard = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Ok(Value::Array(heard));
        }
        "serverCount" => return Ok(namespace.server_count().await?.into()),
        _ => return Err(HandlerError::public("unknown op")),
    }
    Ok("ok".into())
}

impl Op {
    fn select(&self, broadcast: Broadcast) -> Broadcast {
        let mut broadcast = broadcast.except(self.except.clone());
        // As in Node's test program, no rooms means all clients.
        if !self.to.is_empty() {
            broadcast = broadcast.to(self.to.clone());
        }
        if self.flags.volatile {
            broadcast = broadcast.volatile();
        }
        if self.flags.local {
            broadcast = broadcast.local();
        }
        match self.flags.compress {
            Some(compress) => broadcast.compress(compress),
            None => broadcast,
        }
    }

    fn server_side(&self) -> Result<(&str, Values), HandlerError> {
        let (event, args) =
            self.args.split_first().ok_or_else(|| HandlerError::public("no event"))?;
        let event = event.as_str().ok_or_else(|| HandlerError::public("no event"))?;
        Ok((event, Values(args.to_vec())))
    }
}

fn responded(responses: Vec<Value>, error: Option<String>) -> Value {
    value!({ "responses": responses, "error": error })
}

fn failed(error: &HandlerError) -> Value {
    value!({ "error": error.to_string() })
}

fn fetched(result: Result<Vec<RemoteSocket>, FetchError>) -> Value {
    let listed = |mut sockets: Vec<RemoteSocket>| {
        sockets.sort_by(|one, other| one.id().cmp(other.id()));
        Value::Array(sockets.iter().map(described).collect())
    };
    match result {
        Ok(sockets) => listed(sockets),
        Err(error) => {
            let text = error.to_string();
            match error {
                FetchError::Partial { sockets, .. } => {
                    value!({ "error": text, "responses": listed(sockets) })
                }
                _ => value!({ "error": text }),
            }
        }
    }
}

fn described(socket: &RemoteSocket) -> Value {
    let mut rooms: Vec<String> = socket.rooms().iter().map(ToString::to_string).collect();
    rooms.sort();
    let mut auth = socket.handshake().get("auth").cloned();
    if let Some(Value::Object(auth)) = &mut auth {
        // Node keeps the fields that its client adds for recovery.
        auth.remove("pid");
        auth.remove("offset");
    }
    value!({ "id": socket.id(), "rooms": rooms, "data": socket.raw_data().clone(), "auth": auth })
}
