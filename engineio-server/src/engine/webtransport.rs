//! Sessions over WebTransport.

use std::pin::pin;

use engineio_parser::{Packet, PacketData, PacketType, Revision, Transport};
use http::{Response, StatusCode, header::ALT_SVC, request::Parts};
use tokio::time::timeout;

use super::{Engine, catch_panic};
use crate::{
    connection::Connection,
    error::{ErrorContext, Refused, RequestError},
    request::is_origin_allowed,
    response::ResponseBody,
    transport::{
        MessageTransport,
        webtransport::{AcceptError, WebTransport, http3::Http3Request},
    },
};

/// The reason why the client of an accepted request got no session.
pub(crate) enum Failure {
    /// The client did not open its stream or complete its first packet in time.
    Late,
    /// The client sent something else than a first packet.
    Accept(AcceptError),
}

impl Engine {
    /// Answers a request for a WebTransport session. Opens a session, or starts an upgrade.
    pub(crate) async fn handle_webtransport(&self, request: Http3Request) -> Result<(), Failure> {
        let config = &self.0.registry.config;
        let status = if self.matches(request.parts.uri.path()) {
            let refused = self.check_webtransport(&request.parts).err();
            refused.map(|refused| self.refuse(&request.parts, refused).status())
        } else {
            Some(StatusCode::NOT_FOUND)
        };
        if let Some(status) = status {
            let _ = timeout(config.linger, request.refuse(status)).await;
            return Ok(());
        }
        let accept = async {
            let (session, parts) = request.accept().await?;
            Ok((WebTransport::accept(session, config.session.max_payload).await?, parts))
        };
        let accepted = timeout(config.session.upgrade_timeout, accept).await;
        let ((transport, first), parts) =
            accepted.map_err(|_| Failure::Late)?.map_err(Failure::Accept)?;
        let Some((transport, refused)) = self.start_webtransport(transport, &first, &parts).await
        else {
            return Ok(());
        };
        let (code, message) = (refused.refusal.code, refused.refusal.message.clone());
        self.refuse(&parts, refused);
        let _ = timeout(config.linger, transport.refuse(code, &message)).await;
        Ok(())
    }

    /// Counts a request over HTTP/3 that opens no session.
    pub(crate) fn count_misdirected(&self) {
        self.0.registry.counters.refused.misdirected.one();
    }

    /// Adds the configured `Alt-Svc` header to a response over TCP.
    pub(super) fn announce(&self, response: &mut Response<ResponseBody>) {
        if let Some(value) = &self.config().alt_svc {
            response.headers_mut().insert(ALT_SVC, value.clone());
        }
    }

    /// Checks what a request says before the first packet tells whether it opens a session.
    fn check_webtransport(&self, parts: &Parts) -> Result<(), Refused> {
        let config = &self.0.registry.config;
        if !config.transports.contains(&Transport::WebTransport) {
            return Err(RequestError::UnknownTransport.into());
        }
        if config.check_origin && !is_origin_allowed(parts, config.cors.as_ref()) {
            return Err(Refused::foreign_origin());
        }
        Ok(())
    }

    /// Opens or upgrades a session. Returns the transport with the reason if it is refused.
    async fn start_webtransport(
        &self,
        transport: WebTransport,
        first: &Packet,
        parts: &Parts,
    ) -> Option<(WebTransport, Refused)> {
        let boxed = |it| Box::new(MessageTransport::WebTransport(Box::new(it)));
        let sid = match first_packet(first) {
            Ok(sid) => sid,
            Err(refused) => return Some((transport, refused)),
        };
        if let Some(sid) = sid {
            let Some(shared) = self.0.registry.get(&sid) else {
                return Some((transport, RequestError::UnknownSid.into()));
            };
            if shared.lock().session.revision() != Revision::V4 {
                let refused = Refused::bad_request(ErrorContext::ProtocolMismatch);
                return Some((transport, refused));
            }
            self.start_upgrade(&shared, boxed(transport));
            return None;
        }
        let prepared =
            self.prepare(parts, Transport::WebTransport, Some(Revision::V4), false, None);
        let prepared = catch_panic(pin!(prepared)).await;
        let opened = match prepared {
            Some(prepared) => prepared.and_then(|parameters| self.open(parameters)),
            None => {
                self.count_panic();
                return None;
            }
        };
        let (shared, guard) = match opened {
            Ok(opened) => opened,
            Err(refused) => return Some((transport, refused)),
        };
        let connection = Connection::new(guard, shared, Some(boxed(transport)));
        tokio::spawn(self.0.application.session(connection));
        None
    }
}

/// Returns the session id of a first packet: none in `0`, which opens a session, and one in
/// `0{"sid":"…"}`, which upgrades a session.
fn first_packet(packet: &Packet) -> Result<Option<String>, Refused> {
    let sid = match &packet.data {
        PacketData::Text(text) if packet.kind == PacketType::Open && text.is_empty() => {
            return Ok(None);
        }
        PacketData::Text(text) if packet.kind == PacketType::Open => {
            let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
            json.and_then(|json| Some(json.get("sid")?.as_str()?.to_owned()))
        }
        _ => None,
    };
    let refused = || Refused::bad_request(ErrorContext::TransportHandshakeError);
    sid.filter(|sid| !sid.is_empty()).map(Some).ok_or_else(refused)
}
