//! Argument lists that travel between nodes: validated JSON, with attachments beside it.

use serde::Serialize;
use socketio_parser::{Args, DecodeError, EncodeError, Value, Values};

/// Creates the event and arguments of a broadcast or a server-side event. `args` is the same as in
/// `emit`: a tuple is a list of arguments.
///
/// ```
/// let args = socketio_adapter::event_args("say", &("hello", 3))?;
/// assert_eq!((args.event(), args.raw()), ("say", r#""hello",3"#));
/// # Ok::<(), socketio_adapter::EncodeError>(())
/// ```
///
/// # Errors
///
/// Returns an error if the name is reserved, or if the arguments cannot be serialized or are nested
/// 125 levels deep, including the argument list.
pub fn event_args<T: Serialize + ?Sized>(event: &str, args: &T) -> Result<Args, EncodeError> {
    Args::encode(Some(event), args, MAX_DEPTH)
}

/// Creates the values of an ack. A tuple is a list of values.
///
/// # Errors
///
/// Returns an error if the values cannot be serialized or are nested 125 levels deep.
pub fn ack_args<T: Serialize + ?Sized>(args: &T) -> Result<Args, EncodeError> {
    Args::encode(None, args, MAX_DEPTH)
}

/// Parses a list that begins with the name of an event.
pub(crate) fn parse_event(list: &str) -> Result<Args, DecodeError> {
    Args::parse(list.into(), true, MAX_DEPTH)
}

/// Parses the value of an ack.
pub(crate) fn parse_ack(value: &str) -> Result<Args, DecodeError> {
    Args::parse(format!("[{value}]").into(), false, MAX_DEPTH)
}

/// Creates an event from values. The first value is its name.
pub(crate) fn event_of_values(mut values: Vec<Value>) -> Option<Args> {
    if values.is_empty() {
        return None;
    }
    let event = match values.remove(0) {
        Value::String(event) => event,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    event_args(&event, &Values(values)).ok()
}

/// The depth of nested arrays and objects at which arguments are refused, including the argument
/// list. A message nests them three levels deeper, and no node accepts a message of 128 levels.
const MAX_DEPTH: usize = 125;

#[cfg(test)]
mod tests {
    use socketio_parser::{Binary, Nsp, args, bytes::Bytes};

    use super::*;

    #[test]
    fn binary_is_stored_beside_the_text() {
        let args = event_args("b", &(Binary(Bytes::from_static(&[1, 2])), 1)).unwrap();
        assert_eq!(args.attachments(), [Bytes::from_static(&[1, 2])]);
        assert_eq!(args.values().unwrap(), args![Bytes::from_static(&[1, 2]), 1].0);
    }

    #[test]
    fn an_ack_is_a_list_of_values() {
        assert_eq!(ack_args(&"yes").unwrap().raw(), r#""yes""#);
        assert!(ack_args(&()).unwrap().is_empty());
        assert_eq!(ack_args(&serde_json::Value::Null).unwrap().raw(), "null");
        assert_eq!(event_args("e", &Value::Null).unwrap().raw(), "null");
        assert_eq!(parse_ack("[1]").unwrap().decode::<Vec<u8>>().unwrap(), [1]);
        assert!(parse_ack("1,2]").is_err());
    }

    #[test]
    fn reserved_and_missing_event_names_are_refused() {
        assert!(event_args("disconnect", &()).is_err());
        assert!(parse_event(r#"["disconnect"]"#).is_err());
        assert!(parse_event("[]").is_err());
        assert!(event_of_values(Vec::new()).is_none());
        assert!(event_of_values(args![null].0).is_none());
    }

    #[test]
    fn arguments_that_are_accepted_reach_other_nodes_at_any_depth() {
        use crate::{Body, ClusterLimits, Message};

        let accepted = (1..140).map_while(|depth| {
            let nested = (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
            let args = event_args("deep", &nested).ok()?;
            let body = Body::Broadcast { args, selection: <_>::default(), request: None };
            let message = Message { uid: "1".into(), nsp: Nsp::root(), body, seq: None };
            let json = message.to_json().unwrap();
            for wire in [json.as_bytes(), &message.to_msgpack()] {
                let received = Message::decode(wire, &ClusterLimits::default());
                assert_eq!(received.as_ref().ok(), Some(&message), "{depth} levels");
            }
            Some(())
        });
        assert_eq!(accepted.count(), 123, "the list of arguments is the 124th level");
    }
}
