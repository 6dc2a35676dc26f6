//! CONNECTs of clients that may claim a session. A session store is awaited like a middleware.

use std::task::{Context, Poll};

use socketio_parser::RawJson;

use crate::driver::state::{Driver, Restoring};
use crate::{
    namespace::{
        Namespace,
        recovery::{
            claim::{Claim, Restored},
            socket::Recoverable,
        },
    },
    socket::Socket,
};

impl Driver {
    /// Handles a client's request for a namespace, and for a session in it if the client claims
    /// one.
    pub(super) fn restore(
        &mut self,
        namespace: Namespace,
        mut auth: Option<RawJson>,
        cx: &mut Context<'_>,
    ) {
        let Some(claim) = Claim::take(&mut auth, &self.client) else {
            return self.start_new_session(&namespace, auth, cx);
        };
        let stay = self.stay(&namespace);
        let future = Box::pin(namespace.clone().claim(claim));
        let mut restoring = Restoring { namespace, auth, stay, future };
        match restoring.future.as_mut().poll(cx) {
            Poll::Pending => self.restoring.push(restoring),
            Poll::Ready(restored) => self.restored(restoring, restored, cx),
        }
    }

    /// Polls the requests to the store.
    pub(super) fn poll_restoring(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(restoring) = self.restoring.get_mut(index) {
            match restoring.future.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(restored) => {
                    let restoring = self.restoring.remove(index);
                    self.restored(restoring, restored, cx);
                }
            }
        }
    }

    fn restored(&mut self, restoring: Restoring, restored: Option<Restored>, cx: &mut Context<'_>) {
        let Restoring { namespace, auth, stay, .. } = restoring;
        // From here on the socket holds the stay.
        stay.disarm();
        let socket = restored.and_then(|it| Some((it.socket.into_socket()?, it.trusted)));
        match socket {
            Some((socket, trusted)) => self.admit(Socket(socket), trusted, cx),
            None => {
                self.registry.counters.here().recoveries.not_recovered.one();
                self.start_new_session(&namespace, auth, cx);
            }
        }
    }

    /// Enters the namespace with a new session.
    fn start_new_session(
        &mut self,
        namespace: &Namespace,
        auth: Option<RawJson>,
        cx: &mut Context<'_>,
    ) {
        let socket = Recoverable::new().and_then(|new| self.insert(namespace, auth, Some(new)));
        match socket {
            Ok(socket) => self.admit(socket, true, cx),
            Err(_) => self.refuse_without_id(namespace),
        }
    }
}
