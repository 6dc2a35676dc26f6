//! Socket.IO in actix-web, over a bridge: see `bridge.rs`.

mod bridge;

use std::collections::HashMap;

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header,
    web::{self, Data, Query},
};
use frameworks::{PAGE, Sessions, address, chat};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let sessions = Sessions::default();
    let io = chat(&sessions, |engine| engine);
    let app = move || {
        App::new()
            .app_data(Data::new(sessions.clone()))
            .app_data(Data::new(io.clone()))
            .route("/", web::get().to(page))
            .route("/login", web::post().to(login))
            .route("/socket.io/", web::to(bridge::socket_io))
    };
    let server = HttpServer::new(app).bind(address())?;
    println!("listening on http://{:?}", address());
    server.run().await
}

async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(PAGE)
}

async fn login(sessions: Data<Sessions>, query: Query<HashMap<String, String>>) -> HttpResponse {
    match query.get("name") {
        Some(name) => {
            let cookie = sessions.log_in(name);
            HttpResponse::Ok().insert_header((header::SET_COOKIE, cookie)).body("welcome")
        }
        None => HttpResponse::BadRequest().finish(),
    }
}
