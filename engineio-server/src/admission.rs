//! The checks between a well-formed handshake and a new session.

use engineio_parser::{ByteString, Revision, Transport};

use crate::{
    config::EngineConfig,
    error::Refused,
    handshake::Handshake,
    registry::{Registry, generate_sid},
    transport::jsonp::Jsonp,
    unauthenticated::Slot,
};

/// Maximum length of an application's session id. Each request of the session contains the id.
const MAX_SID: usize = 128;

/// The parameters of a session to be opened.
pub(crate) struct SessionParameters {
    pub(crate) sid: ByteString,
    pub(crate) handshake: Handshake,
    pub(crate) revision: Revision,
    pub(crate) b64: bool,
    pub(crate) transport: Transport,
    pub(crate) jsonp: Option<Jsonp>,
    pub(crate) slot: Option<Box<Slot>>,
}

/// Refuses the session if there are `max_sessions` or its URL exceeds `max_kept_head`. Otherwise
/// returns the slot that counts it as unauthenticated, if its address is limited.
pub(crate) fn check_limits(
    handshake: &Handshake,
    registry: &Registry,
) -> Result<Option<Box<Slot>>, Refused> {
    registry.has_room()?;
    if handshake.url().len() > registry.config.max_kept_head {
        return Err(Refused::url_too_long());
    }
    Ok(match (registry.config.max_unauthenticated_per_address, handshake.client_ip()) {
        (Some(limit), Some(ip)) => Some(registry.unauthenticated.reserve(ip, limit)?),
        _ => None,
    })
}

/// Asks the application whether to admit the client.
pub(crate) async fn admit(
    handshake: Handshake,
    config: &EngineConfig,
) -> Result<Handshake, Refused> {
    match &config.hooks.allow_request {
        Some(hook) => Ok(hook(handshake).await?),
        None => Ok(handshake),
    }
}

/// Returns the id for a new session.
pub(crate) async fn session_id(
    handshake: &Handshake,
    registry: &Registry,
) -> Result<ByteString, Refused> {
    let Some(hook) = &registry.config.hooks.generate_id else {
        return generate_sid().map_err(Refused::id_generation);
    };
    let sid = hook(handshake).await.map_err(Refused::id_generation)?;
    // These characters need no escaping in a query, a cookie or JSON.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(1..=MAX_SID).contains(&sid.len()) || !sid.bytes().all(plain) {
        return Err(Refused::id_generation("not 1 to 128 letters, digits and `-._~`"));
    }
    // Not conclusive: another handshake may take the id first. Adding the session checks it again.
    if registry.get(&sid).is_some() {
        return Err(Refused::id_taken());
    }
    Ok(sid.into())
}
