//! Socket.IO before poem. The adapter of poem for tower services, `compat()`, hides the upgrade of the
//! connection from the service, so that it would have no WebSocket. Here Socket.IO gets the request
//! first, and poem all requests of other paths.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use frameworks::{PAGE, Sessions, address, chat};
use hyper::{Request, Response, body::Incoming};
use poem::{
    Endpoint, EndpointExt, IntoResponse, Route,
    endpoint::make_sync,
    get,
    http::StatusCode,
    post,
    web::{Html, LocalAddr, RemoteAddr},
};
use socketio_server::{PeerAddr, serve, tower_layer::Layer};
use tokio::net::TcpListener;
use tower::service_fn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::default();
    let io = chat(&sessions, |engine| engine);
    let pages = Route::new()
        .at("/", get(make_sync(|_| Html(PAGE))))
        .at("/login", post(make_sync(move |request| login(&sessions, &request))));
    let pages = Arc::new(pages.map_to_response());
    let poem = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move {
            let peer = request.extensions().get::<PeerAddr>().map(|peer| RemoteAddr(peer.0.into()));
            let scheme = poem::http::uri::Scheme::HTTP;
            let request = poem::Request::from((
                request,
                LocalAddr::default(),
                peer.unwrap_or_default(),
                scheme,
            ));
            Ok::<_, Infallible>(Response::from(pages.get_response(request).await))
        }
    });

    let listener = TcpListener::bind(address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, io.layer().layer(poem), io.engine().config()).join().await;
    Ok(())
}

fn login(sessions: &Sessions, request: &poem::Request) -> poem::Response {
    match request.params::<HashMap<String, String>>() {
        Ok(query) if query.contains_key("name") => {
            let cookie = sessions.log_in(&query["name"]);
            "welcome".with_header("set-cookie", cookie).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}
