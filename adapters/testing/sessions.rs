//! Sessions and missed events, for tests of adapters whose engine keeps a log.

use socketio_adapter::{
    AdapterError, Offset,
    recovery::{PageSize, SavedSession, SessionStore},
};
use socketio_parser::{Nsp, value};

use crate::suite::within;

/// A page that is large enough for all events of a test.
pub(crate) const ALL: PageSize = PageSize { packets: 1000, bytes: 10_000_000 };

pub(crate) fn session(pid: &str, nsp: &str) -> SavedSession {
    SavedSession {
        nsp: Some(Nsp::unchecked(nsp)),
        pid: pid.into(),
        sid: "S".into(),
        rooms: vec!["S".into(), "r".into()],
        data: value!({ "u": 1 }),
        owner: None,
        epoch: 0,
        former_nodes: Vec::new(),
    }
}

/// Reads the log to its end, in pages. Returns the names of the events.
pub(crate) async fn missed(
    store: &dyn SessionStore,
    from: &Offset,
    size: PageSize,
) -> Result<Vec<String>, AdapterError> {
    let (mut found, mut from) = (Vec::new(), from.clone());
    loop {
        let page = within(store.missed(&from, size)).await?;
        found.extend(page.events.iter().map(|missed| missed.args.event().to_owned()));
        if !page.has_more {
            return Ok(found);
        }
        from = page.end;
    }
}
