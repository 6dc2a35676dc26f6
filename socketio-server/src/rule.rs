//! Which names a parent namespace answers for.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use engineio_server::{Handle, Handshake};
use regex_lite::Regex;
use serde::de::DeserializeOwned;
use socketio_parser::{Nsp, RawJson};

use crate::{
    auth,
    error::{HandlerError, PatternError},
};

/// The parts of a namespace's name that its parent's pattern names. A clone costs one reference count.
///
/// As an [extractor](crate::Extract) these are the parameters of the socket's namespace.
///
/// ```
/// use socketio_server::{HandlerError, Params, Server, Socket};
///
/// # fn main() -> Result<(), socketio_server::PatternError> {
/// let io = Server::new();
/// io.of_pattern("/orders/{id}")?.on_connection(|socket: Socket, params: Params| async move {
///     let order: u64 = params.parse("id")?;
///     socket.emit("order", &order)?;
///     Ok(())
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Option<Arc<[Param]>>);

type Param = (Box<str>, Box<str>);

impl Params {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of a parameter, as a type that is made of text.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or it is of another type.
    pub fn parse<T>(&self, name: &str) -> Result<T, HandlerError>
    where
        T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let value = self.get(name);
        let value = value.ok_or_else(|| HandlerError::public(format!("no parameter {name:?}")))?;
        Ok(value.parse()?)
    }

    /// All parameters, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|list| list.iter()).map(|(name, value)| (&**name, &**value))
    }
}

/// A client's wish to be let into a namespace. See [`Server::of_fn`](crate::Server::of_fn).
#[derive(Clone)]
pub struct NamespaceRequest {
    pub(crate) nsp: Nsp,
    pub(crate) auth: Option<RawJson>,
    pub(crate) conn: Handle,
}

impl NamespaceRequest {
    /// The name that is asked for, with its leading slash.
    pub fn name(&self) -> &str {
        self.nsp.as_str()
    }

    /// What the client sent with its CONNECT packet, decoded, as [`Socket::auth`](crate::Socket::auth) does.
    ///
    /// # Errors
    ///
    /// It is of another type. The client is told "invalid auth" of this error.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        auth::decode(self.auth.as_ref())
    }

    /// The HTTP request that opened the connection.
    pub fn handshake(&self) -> &Handshake {
        self.conn.handshake()
    }
}

impl fmt::Debug for NamespaceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceRequest").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// What a parent's function says of a CONNECT. See [`Server::of_fn`](crate::Server::of_fn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceVerdict {
    /// The namespace is one of this parent, and the client may try its middlewares.
    Accept,
    /// The name is not one of this parent: whoever else has it decides. This refuses nobody; an error does.
    Pass,
}

type Verdict = Pin<Box<dyn Future<Output = Result<NamespaceVerdict, HandlerError>> + Send>>;

/// What names a parent answers for.
pub(crate) enum Rule {
    Matches(Regex),
    Decides(Box<dyn Fn(NamespaceRequest) -> Verdict + Send + Sync>),
}

impl Rule {
    pub(crate) fn regex(regex: &str) -> Result<Self, PatternError> {
        Ok(Self::Matches(Regex::new(regex).map_err(PatternError::new)?))
    }

    /// A name in which `{name}` stands for one part between slashes, or a piece of it.
    pub(crate) fn pattern(pattern: &str) -> Result<Self, PatternError> {
        let mut regex = String::from(if pattern.starts_with('/') { "^" } else { "^/" });
        let mut rest = pattern;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| PatternError::new("unclosed `{`"))?;
            regex += &regex_lite::escape(literal);
            regex += &format!("(?P<{name}>[^/]+)");
            rest = after;
        }
        regex += &regex_lite::escape(rest);
        regex += "$";
        Self::regex(&regex)
    }

    pub(crate) fn decides<F, Fut>(decide: F) -> Self
    where
        F: Fn(NamespaceRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<NamespaceVerdict, HandlerError>> + Send + 'static,
    {
        Self::Decides(Box::new(move |request| Box::pin(decide(request))))
    }

    /// Whether a name matches, without asking anybody: its parameters.
    pub(crate) fn matches(&self, name: &str) -> Option<Params> {
        let Self::Matches(regex) = self else { return None };
        let captures = regex.captures(name)?;
        let named = regex
            .capture_names()
            .flatten()
            .filter_map(|group| Some((group.into(), captures.name(group)?.as_str().into())));
        let named: Arc<[_]> = named.collect();
        Some(Params((!named.is_empty()).then_some(named)))
    }

    /// Whether it answers for a name: the parameters.
    pub(crate) async fn answers(
        &self,
        request: &NamespaceRequest,
    ) -> Result<Option<Params>, HandlerError> {
        match self {
            Self::Matches(_) => Ok(self.matches(request.name())),
            Self::Decides(decide) => Ok(match decide(request.clone()).await? {
                NamespaceVerdict::Accept => Some(Params::default()),
                NamespaceVerdict::Pass => None,
            }),
        }
    }

    /// Whether it is a function, which is asked at each CONNECT.
    pub(crate) fn is_function(&self) -> bool {
        matches!(self, Self::Decides(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &str, name: &str) -> Option<Vec<(String, String)>> {
        let params = Rule::pattern(pattern).unwrap().matches(name)?;
        Some(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn a_pattern_names_parts_of_the_name() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(params("/orders/{id}", "/orders/7"), Some(vec![pair("id", "7")]));
        assert_eq!(params("orders/{id}", "/orders/7"), Some(vec![pair("id", "7")]));
        assert_eq!(
            params("/{tenant}/room-{n}.x", "/a b/room-1.x"),
            Some(vec![pair("tenant", "a b"), pair("n", "1")])
        );
        assert_eq!(params("/plain", "/plain"), Some(vec![]));
        for name in ["/orders/", "/orders", "/orders/7/8", "/x/orders/7", "/orders/7/"] {
            assert_eq!(params("/orders/{id}", name), None, "{name}");
        }
        assert_eq!(params("/a.b", "/aXb"), None, "what is outside of braces is literal");
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        for pattern in ["/a/{id", "/a/{}", "/a/{a b}", "/{id}/{id}", "/{1}"] {
            assert!(Rule::pattern(pattern).is_err(), "{pattern}");
        }
        assert!(Rule::regex("(").is_err());
    }

    #[test]
    fn groups_of_an_expression_are_parameters() {
        let rule = Rule::regex(r"^/dynamic-(?P<n>\d+)(-(?P<rest>.*))?$").unwrap();
        let params = rule.matches("/dynamic-101").unwrap();
        assert_eq!((params.get("n"), params.get("rest")), (Some("101"), None));
        assert_eq!(params.parse::<u8>("n").unwrap(), 101);
        params.parse::<bool>("n").unwrap_err();
        params.parse::<u8>("other").unwrap_err();
        assert!(rule.matches("/dynamic-x").is_none());
    }
}
