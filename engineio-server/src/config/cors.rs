//! Cross-origin requests to the engine.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::response::{ResponseBody, empty};

/// Cross-origin resource sharing: which pages may read the responses to polling requests. Behaves
/// like the npm package `cors` for Node's server, including errors and preflight requests. Without
/// it, pages of other origins cannot read responses.
///
/// Browsers do not apply CORS to WebSockets, so the engine does: it refuses WebSocket requests from
/// pages of other origins unless they are allowed here, see
/// [`EngineConfig::check_origin`](crate::EngineConfig::check_origin).
///
/// ```
/// use std::time::Duration;
/// use engineio_server::{Cors, EngineConfig};
///
/// let config = EngineConfig::default().cors(
///     Cors::origins(["https://example.com", "https://admin.example.com"])
///         .credentials(true)
///         .max_age(Duration::from_secs(3600)),
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Cors {
    origin: Origin,
    credentials: bool,
    methods: HeaderValue,
    allowed_headers: Option<HeaderValue>,
    exposed_headers: Option<HeaderValue>,
    max_age: Option<Duration>,
    preflight_status: StatusCode,
}

#[derive(Clone)]
enum Origin {
    Any,
    List(Vec<String>),
    Where(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Cors {
    /// Allows pages of every origin, but without credentials: browsers accept `*` only for requests
    /// without credentials.
    ///
    /// ```
    /// let cors = engineio_server::Cors::any_origin();
    /// ```
    pub fn any_origin() -> Self {
        Self::new(Origin::Any)
    }

    /// Allows pages of these origins. An origin consists of scheme, host, and the port unless it is
    /// the default, such as `https://example.com`.
    ///
    /// ```
    /// let cors = engineio_server::Cors::origins(["https://example.com", "http://localhost:8080"]);
    /// ```
    pub fn origins<T: Into<String>>(origins: impl IntoIterator<Item = T>) -> Self {
        Self::new(Origin::List(origins.into_iter().map(Into::into).collect()))
    }

    /// Allows pages of the origins for which `allowed` returns true.
    ///
    /// ```
    /// let cors = engineio_server::Cors::origins_where(|origin| origin.ends_with(".example.com"));
    /// ```
    pub fn origins_where(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::new(Origin::Where(Arc::new(allowed)))
    }

    /// Sets whether pages may read responses to requests with cookies or HTTP authentication
    /// (default `false`). Clients with `withCredentials` need it. Has no effect with
    /// [`any_origin`](Self::any_origin).
    ///
    /// ```
    /// use engineio_server::Cors;
    ///
    /// let cors = Cors::origins(["https://example.com"]).credentials(true);
    /// ```
    pub fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// Sets the methods in the response to a preflight request (default GET, HEAD, PUT, PATCH,
    /// POST, DELETE).
    ///
    /// ```
    /// use engineio_server::Cors;
    /// use http::Method;
    ///
    /// let cors = Cors::any_origin().methods([Method::GET, Method::POST]);
    /// ```
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        if let Some(list) = list(methods.into_iter().map(|method| method.to_string())) {
            self.methods = list;
        }
        self
    }

    /// Sets the request headers in the response to a preflight request (default: the requested
    /// ones).
    ///
    /// ```
    /// use engineio_server::Cors;
    /// use http::header::AUTHORIZATION;
    ///
    /// let cors = Cors::any_origin().allowed_headers([AUTHORIZATION]);
    /// ```
    pub fn allowed_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.allowed_headers = list(names.into_iter().map(|name| name.to_string()));
        self
    }

    /// Sets the response headers that a page may read in addition to those that browsers always
    /// allow (default none).
    ///
    /// ```
    /// use engineio_server::Cors;
    /// use http::header::ETAG;
    ///
    /// let cors = Cors::any_origin().exposed_headers([ETAG]);
    /// ```
    pub fn exposed_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.exposed_headers = list(names.into_iter().map(|name| name.to_string()));
        self
    }

    /// Sets how long a browser may cache the response to a preflight request (default: the
    /// browser's own, some seconds).
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::Cors;
    ///
    /// let cors = Cors::any_origin().max_age(Duration::from_secs(3600));
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets the status of the response to a preflight request (default 204). Some very old browsers
    /// need 200.
    ///
    /// ```
    /// use engineio_server::Cors;
    /// use http::StatusCode;
    ///
    /// let cors = Cors::any_origin().preflight_status(StatusCode::OK);
    /// ```
    pub fn preflight_status(mut self, status: StatusCode) -> Self {
        self.preflight_status = status;
        self
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            credentials: false,
            methods: HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            max_age: None,
            preflight_status: StatusCode::NO_CONTENT,
        }
    }

    /// Returns the response to an OPTIONS request.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Response<ResponseBody> {
        let mut response = empty(self.preflight_status);
        let headers = response.headers_mut();
        self.apply(request, headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if self.allowed_headers.is_none() {
            vary(headers, "Access-Control-Request-Headers");
        }
        if let Some(allowed) = self.allowed_headers.as_ref().or(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        if let Some(age) = self.max_age {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, age.as_secs().into());
        }
        response
    }

    /// Adds the headers that every response needs.
    pub(crate) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let origin = request.get(header::ORIGIN);
        let any = matches!(self.origin, Origin::Any);
        let allowed = if any {
            Some(HeaderValue::from_static("*"))
        } else {
            vary(response, "Origin");
            origin.filter(|origin| self.allows(origin)).cloned()
        };
        if self.credentials && !any {
            let yes = HeaderValue::from_static("true");
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if let Some(allowed) = allowed {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        if let Some(exposed) = &self.exposed_headers {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// Returns whether pages of this origin are allowed.
    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        match &self.origin {
            Origin::Any => true,
            Origin::List(origins) => origins.iter().any(|allowed| allowed == origin),
            Origin::Where(allowed) => allowed(origin),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::List(origins) => origins.fmt(f),
            Self::Where(_) => f.write_str("Where"),
        }
    }
}

/// Adds a name to `Vary`, which may already contain others.
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let lines = headers.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    let mut names: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    if names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        return;
    }
    names.push(name);
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

/// Joins names to the value of a header. Returns `None` if there are none.
fn list(names: impl Iterator<Item = String>) -> Option<HeaderValue> {
    let names = names.collect::<Vec<_>>().join(",");
    HeaderValue::try_from(names).ok().filter(|value| !value.is_empty())
}
