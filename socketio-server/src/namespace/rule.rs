//! The rules that decide which names a parent namespace covers.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use engineio_server::{Handle, Handshake};
use regex_lite::Regex;
use serde::de::DeserializeOwned;
use socketio_parser::{Nsp, RawJson};

use crate::{
    error::{HandlerError, PatternError},
    handlers::extractors::decode_auth,
};

/// The parameters of a namespace's name, as its parent's pattern defines them. A clone costs one
/// reference count.
///
/// As an [extractor](crate::Extract), it contains the parameters of the socket's namespace.
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
    /// Returns the value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Parses the value of a parameter.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such parameter, or if its value cannot be parsed.
    pub fn parse<T>(&self, name: &str) -> Result<T, HandlerError>
    where
        T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let value = self.get(name);
        let value = value.ok_or_else(|| HandlerError::public(format!("no parameter {name:?}")))?;
        Ok(value.parse()?)
    }

    /// Returns all parameters, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|list| list.iter()).map(|(name, value)| (&**name, &**value))
    }
}

/// A client's request to enter a namespace. See [`Server::of_fn`](crate::Server::of_fn).
#[derive(Clone)]
pub struct NamespaceRequest {
    pub(crate) nsp: Nsp,
    pub(crate) auth: Option<RawJson>,
    pub(crate) conn: Handle,
}

impl NamespaceRequest {
    /// Returns the requested name, with its leading slash.
    pub fn name(&self) -> &str {
        self.nsp.as_str()
    }

    /// Decodes the data that the client sent with its CONNECT packet, as
    /// [`Socket::auth`](crate::Socket::auth) does.
    ///
    /// # Errors
    ///
    /// Returns an error if the data is of another type. The message for the client is "invalid
    /// auth".
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        decode_auth(self.auth.as_ref())
    }

    /// Returns the HTTP request that opened the connection.
    pub fn handshake(&self) -> &Handshake {
        self.conn.handshake()
    }
}

impl fmt::Debug for NamespaceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceRequest").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The decision of a parent's function on a CONNECT. See [`Server::of_fn`](crate::Server::of_fn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceVerdict {
    /// The namespace belongs to this parent. The parent's middlewares decide next.
    Accept,
    /// The name does not belong to this parent. The parents declared later decide. If none of them
    /// accepts the client and the application has declared the namespace, the client enters it
    /// without the middlewares of this parent. If the application has not declared it, the client
    /// gets "Invalid namespace". To refuse a client, return an error.
    Pass,
}

type Verdict = Pin<Box<dyn Future<Output = Result<NamespaceVerdict, HandlerError>> + Send>>;

/// A rule that decides which names a parent covers.
pub(crate) enum Rule {
    Matches(Regex),
    Decides(Box<dyn Fn(NamespaceRequest) -> Verdict + Send + Sync>),
}

impl Rule {
    pub(crate) fn regex(regex: &str) -> Result<Self, PatternError> {
        Ok(Self::Matches(Regex::new(regex).map_err(PatternError::new)?))
    }

    /// Creates a rule from a pattern, in which `{name}` stands for the text between two slashes, or
    /// for a piece of it.
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

    /// Returns the parameters if the name matches an expression. Never calls a function.
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

    /// Returns the parameters if the rule covers the requested name.
    pub(crate) async fn params_for(
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

    /// Returns whether the rule is a function, which is called for each CONNECT.
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
