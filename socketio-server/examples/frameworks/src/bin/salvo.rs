//! Socket.IO in salvo, as a handler.

use frameworks::{PAGE, Sessions, address, chat};
use http_body_util::BodyExt;
use salvo::{
    Depot, FlowCtrl, Handler, Listener, Request, Response, Router, Server, async_trait,
    conn::TcpListener,
    http::{ReqBody, ResBody, StatusCode, header},
    writing::Text,
};
use socketio_server::PeerAddr;

/// Answers the requests of Socket.IO.
struct SocketIo(socketio_server::Server);

#[async_trait]
impl Handler for SocketIo {
    async fn handle(
        &self,
        request: &mut Request,
        _: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        let peer = request.remote_addr().clone().into_std();
        let Ok(mut request) = request.strip_to_hyper::<ReqBody>() else { return };
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        let answer = self.0.engine().handle(request).await;
        response.merge_hyper(answer.map(|body| ResBody::Boxed(Box::pin(body.map_err(Into::into)))));
    }
}

/// The login.
struct Login(Sessions);

#[async_trait]
impl Handler for Login {
    async fn handle(
        &self,
        request: &mut Request,
        _: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        match request.query::<String>("name") {
            Some(name) => {
                let _ = response.add_header(header::SET_COOKIE, self.0.log_in(&name), true);
                response.render("welcome");
            }
            None => _ = response.status_code(StatusCode::BAD_REQUEST),
        }
    }
}

/// The page.
struct Page;

#[async_trait]
impl Handler for Page {
    async fn handle(
        &self,
        _: &mut Request,
        _: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        response.render(Text::Html(PAGE));
    }
}

#[tokio::main]
async fn main() {
    let sessions = Sessions::default();
    let io = chat(&sessions, |engine| engine);
    let router = Router::new()
        .get(Page)
        .push(Router::with_path("login").post(Login(sessions)))
        .push(Router::with_path("socket.io/{**rest}").goal(SocketIo(io)));
    let acceptor = TcpListener::new(address()).bind().await;
    println!("listening on http://{:?}", address());
    Server::new(acceptor).serve(router).await;
}
