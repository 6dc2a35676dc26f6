//! The engine as a tower service and layer.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    engine::Engine,
    response::{ResponseBody, ServiceBody, empty},
};

impl Engine {
    /// Returns a tower service that answers requests of the configured path, and others with 404.
    pub fn service(&self) -> EngineService {
        EngineService { engine: self.clone(), inner: NotFound }
    }

    /// Returns a tower layer that answers requests of the configured path and passes others to the
    /// inner service.
    pub fn layer(&self) -> EngineLayer {
        EngineLayer(self.clone())
    }
}

/// A tower service that answers an engine's requests and passes others to the inner service.
/// Created by [`Engine::service`] and [`EngineLayer`].
///
/// ```no_run
/// use engineio_server::{Engine, EngineConfig};
/// use hyper::server::conn::http1;
/// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
///
/// # async fn serve(stream: tokio::net::TcpStream) -> hyper::Result<()> {
/// # let engine = Engine::new(EngineConfig::default(), |_| async {});
/// let service = TowerToHyperService::new(engine.service());
/// http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EngineService<S = NotFound> {
    engine: Engine,
    inner: S,
}

impl<S, B, Inside> Service<Request<B>> for EngineService<S>
where
    S: Service<Request<B>, Response = Response<Inside>>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    Inside: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ServiceBody<Inside>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.engine.matches(request.uri().path()) {
            let engine = self.engine.clone();
            let (mut parts, body) = request.into_parts();
            let mut body = Some(body);
            Box::pin(async move {
                let response = engine.handle_parts(&mut parts, &mut body).await;
                Ok(response.map(ServiceBody::engine))
            })
        } else {
            let response = self.inner.call(request);
            Box::pin(async move { Ok(response.await?.map(ServiceBody::inner)) })
        }
    }
}

/// A tower layer that adds an engine to another service. The engine answers requests of its path
/// and passes others on.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use engineio_server::{Connection, Engine, EngineConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let engine = Engine::new(EngineConfig::default(), |mut connection: Connection| async move {
///     while let Ok(data) = connection.recv().await {
///         let _ = connection.send(data);
///     }
/// });
/// let app = Router::new().route("/", get(|| async { "hello" })).layer(engine.layer());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, app).await
/// # }
/// ```
///
/// Add it to the outermost router. A nested router sees paths without their prefix.
///
/// Layers around it apply to the engine as well. For example, `tower_http::cors::CorsLayer` handles
/// CORS for both. The engine does not know which origins that layer allows: name them in
/// [`EngineConfig::cors`](crate::EngineConfig::cors) as well, or turn
/// [`EngineConfig::check_origin`](crate::EngineConfig::check_origin) off, or their pages cannot open
/// WebSockets. For the addresses of clients, see
/// [`EngineConfig::peer_addr`](crate::EngineConfig::peer_addr).
#[derive(Clone, Debug)]
pub struct EngineLayer(Engine);

impl<S> Layer<S> for EngineLayer {
    type Service = EngineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EngineService { engine: self.0.clone(), inner }
    }
}

/// A service that answers every request with 404, and closes the connection if the request wants to
/// upgrade it.
#[derive(Clone, Copy, Debug)]
pub struct NotFound;

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = empty(StatusCode::NOT_FOUND);
        if request.headers().contains_key(header::UPGRADE) {
            // A client that wants another protocol sends no further HTTP request.
            let close = header::HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        ready(Ok(response))
    }
}
