//! CONNECTs that wait for the decision of parent namespaces' functions.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use socketio_parser::{Nsp, RawJson};

use crate::driver::state::{Deciding, Decision, Driver};
use crate::error::HandlerError;

impl Driver {
    /// Asks the parents whether the client may enter a namespace, which may already exist or be
    /// under construction.
    pub(super) fn decide(&mut self, nsp: Nsp, auth: Option<RawJson>, cx: &mut Context<'_>) {
        let (registry, conn) = (self.registry.clone(), self.client.handle.clone());
        let future = Box::pin(registry.resolve(nsp.clone(), auth.clone(), conn));
        let mut deciding = Deciding { nsp, auth, future };
        match poll_caught(&mut deciding.future, cx) {
            Poll::Pending => self.deciding.push(deciding),
            Poll::Ready(decision) => self.resolved(deciding, decision, cx),
        }
    }

    /// Polls the parents' functions.
    pub(super) fn poll_deciding(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(deciding) = self.deciding.get_mut(index) {
            match poll_caught(&mut deciding.future, cx) {
                Poll::Pending => index += 1,
                Poll::Ready(decision) => {
                    let deciding = self.deciding.remove(index);
                    self.resolved(deciding, decision, cx);
                }
            }
        }
    }

    fn resolved(&mut self, deciding: Deciding, decision: Decision, cx: &mut Context<'_>) {
        match decision {
            Ok(namespace) => self.enter(namespace, deciding.auth, cx),
            Err(error) => {
                if !error.is_public() {
                    let (nsp, error) = (&deciding.nsp, error.for_log());
                    tracing::warn!(target: "socketio::namespace", %nsp, error, "a parent namespace's function failed");
                }
                self.refuse_unknown(&deciding.nsp, &error);
            }
        }
    }
}

/// Polls a parent's function. A panic refuses only this client.
fn poll_caught(
    future: &mut std::pin::Pin<Box<dyn Future<Output = Decision> + Send>>,
    cx: &mut Context<'_>,
) -> Poll<Decision> {
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).unwrap_or_else(|_| {
        tracing::error!(target: "socketio::namespace", "a parent namespace's function panicked");
        Poll::Ready(Err(HandlerError::public("internal error")))
    })
}
