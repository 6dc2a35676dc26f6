//! Socket.IO in axum, with CORS and request logs by tower-http and the client's address by
//! `ConnectInfo`.

use std::{collections::HashMap, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Query, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use frameworks::{PAGE, Sessions, address, chat};
use tokio::net::TcpListener;
use tower_http::{cors::CorsLayer, trace::TraceLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::default();
    // axum puts the address of the client into an extension of the request.
    let io = chat(&sessions, |engine| {
        engine.peer_addr(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0))
    });
    // Pages of this origin may send their cookies. The layer also applies to Socket.IO.
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://app.example"))
        .allow_methods([Method::GET, Method::POST])
        .allow_credentials(true);
    let app = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/login", post(login))
        .with_state(sessions)
        .layer(io.layer())
        .layer(cors)
        .layer(TraceLayer::new_for_http());

    let listener = TcpListener::bind(address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

async fn login(
    State(sessions): State<Sessions>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match query.get("name") {
        Some(name) => ([(header::SET_COOKIE, sessions.log_in(name))], "welcome").into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}
