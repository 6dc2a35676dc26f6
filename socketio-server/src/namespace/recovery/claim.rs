//! The request of a client to recover its session.

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytestring::ByteString;
use socketio_adapter::Offset;
use socketio_parser::{RawJson, Value};

use crate::{
    client::Client,
    namespace::{
        Namespace,
        recovery::{Lease, ahead::EventsAhead, socket::Recoverable},
    },
    socket::{inner::SocketInner, stored::Stored},
    time::now,
};

/// A client's request to recover its session.
pub(crate) struct Claim {
    pub(crate) pid: String,
    /// The offset of the last event that the client received.
    pub(super) offset: Offset,
    /// The events that the client received ahead of an engine's log.
    pub(super) ahead: EventsAhead,
    /// When the client sent the claim.
    pub(crate) began: Instant,
    client: Arc<Client>,
    /// The data of the CONNECT packet without the claim.
    auth: Option<RawJson>,
}

impl Claim {
    /// Removes the claim from the data of a CONNECT packet, so that handlers do not see the private
    /// id. Returns `None` if the client does not claim a session.
    pub(crate) fn take(auth: &mut Option<RawJson>, client: &Arc<Client>) -> Option<Self> {
        let (pid, offset) = take_claim(auth)?;
        let (offset, ahead) = EventsAhead::split(&offset);
        let (client, auth) = (client.clone(), auth.clone());
        Some(Self { pid, offset, ahead, began: now(), client, auth })
    }

    /// The address of the client, if it is known.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.client.handle.handshake().client_ip()
    }

    /// Makes the socket of the claimed session.
    pub(super) fn socket(
        self,
        namespace: &Namespace,
        sid: ByteString,
        recoverable: Recoverable,
        stored: Option<Box<Stored>>,
    ) -> SocketInner {
        let recoverable = Some(Box::new(recoverable));
        SocketInner::new(sid, namespace.clone(), self.client, self.auth, recoverable, stored)
    }
}

/// The socket of a returning client. If it is dropped before the client is let in, its session is
/// kept again, together with the lease on its namespace.
pub(crate) struct ReturningSocket {
    socket: Option<Arc<SocketInner>>,
    membership: Lease,
}

impl ReturningSocket {
    pub(crate) fn new(socket: Arc<SocketInner>, membership: Lease) -> Self {
        Self { socket: Some(socket), membership }
    }

    pub(super) fn recoverable(&self) -> Option<&Recoverable> {
        self.socket.as_ref()?.recoverable.as_deref()
    }

    /// Returns the socket. The caller is responsible for it from now on.
    pub(crate) fn into_socket(mut self) -> Option<Arc<SocketInner>> {
        self.socket.take()
    }
}

impl Drop for ReturningSocket {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.set_disconnected();
            let membership = std::mem::take(&mut self.membership);
            drop(socket.namespace.remove(&socket, true, membership));
        }
    }
}

fn take_claim(auth: &mut Option<RawJson>) -> Option<(String, String)> {
    let Ok(Value::Object(mut object)) = auth.as_ref()?.decode() else { return None };
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    if !matches!(object.get("pid"), Some(Value::String(_))) {
        return None;
    }
    let pid = text(object.remove("pid"));
    let offset = match object.get("offset") {
        Some(Value::String(_)) => text(object.remove("offset")),
        _ => None,
    };
    *auth = match object.is_empty() {
        true => None,
        false => {
            let rest = serde_json::to_string(&Value::Object(object)).ok();
            rest.and_then(|rest| RawJson::new(rest).ok())
        }
    };
    pid.zip(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(auth: &str) -> (Option<(String, String)>, Option<String>) {
        let mut auth = Some(RawJson::new(auth.to_owned()).unwrap());
        let claim = take_claim(&mut auth);
        (claim, auth.map(|auth| auth.get().to_owned()))
    }

    #[test]
    fn a_claim_needs_both_strings_and_is_taken_out() {
        let found = Some(("p".to_owned(), "o".to_owned()));
        assert_eq!(claim(r#"{"pid":"p","offset":"o"}"#), (found.clone(), None));
        let rest = Some(r#"{"token":[1],"a":{"b":null}}"#.to_owned());
        let all = r#"{"token":[1],"pid":"p","offset":"o","a":{"b":null}}"#;
        assert_eq!(claim(all), (found, rest));
        assert_eq!(claim(r#"{"pid":"p"}"#), (None, None));
        for other in [r#"{"offset":"o"}"#, r#"{"pid":1,"offset":"o"}"#, "{}"] {
            assert_eq!(claim(other), (None, Some(other.to_owned())));
        }
    }
}
