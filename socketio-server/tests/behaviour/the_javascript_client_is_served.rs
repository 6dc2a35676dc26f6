//! The JavaScript client is served as by Node's server.

use std::{fs, path::PathBuf};

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use socketio_server::{ClientFiles, Cors, Server, ServerConfig};

/// Creates an npm package in its own folder.
fn package(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let dist = folder.join("dist");
    fs::create_dir_all(&dist).unwrap();
    fs::write(folder.join("package.json"), r#"{"version":"4.8.4"}"#).unwrap();
    for kind in ["", ".min", ".esm.min", ".msgpack.min"] {
        let name = format!("socket.io{kind}.js");
        fs::write(dist.join(&name), format!("// {name}\n").repeat(500)).unwrap();
        fs::write(dist.join(format!("{name}.map")), format!("{{\"file\":\"{name}\"}}")).unwrap();
    }
    fs::write(dist.join("secret.txt"), "secret").unwrap();
    dist
}

fn serving(name: &str) -> Server {
    let files = ClientFiles::from_dir(package(name)).unwrap();
    let cors = Cors::origins(["http://example.com"]);
    Server::with_config(
        ServerConfig::default().serve_client(files).engine(|engine| engine.cors(cors)),
    )
}

async fn get(io: &Server, path: &str, headers: &[(&str, &str)]) -> Response<Vec<u8>> {
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let (parts, body) = io.engine().handle(request).await.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes().to_vec())
}

fn header<'a>(response: &'a Response<Vec<u8>>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn all_eight_client_files_are_served() {
    let io = serving("eight");
    for kind in ["", ".min", ".esm.min", ".msgpack.min"] {
        let path = format!("/socket.io/socket.io{kind}.js");
        let script = get(&io, &format!("{path}?v=1"), &[]).await;
        assert_eq!(script.status(), StatusCode::OK);
        assert!(script.body().starts_with(format!("// socket.io{kind}.js").as_bytes()));
        assert_eq!(header(&script, "content-type"), "application/javascript; charset=utf-8");
        assert_eq!(header(&script, "cache-control"), "public, max-age=0");
        assert_eq!(header(&script, "etag"), "W/\"4.8.4\"");
        let map = get(&io, &format!("{path}.map"), &[]).await;
        assert_eq!(map.body(), format!("{{\"file\":\"socket.io{kind}.js\"}}").as_bytes());
        assert_eq!(header(&map, "content-type"), "application/json; charset=utf-8");
    }
}

#[tokio::test]
async fn a_cached_client_file_is_not_sent_again() {
    let io = serving("etag");
    let status = async |etag: &str| {
        let response = get(&io, "/socket.io/socket.io.js", &[("if-none-match", etag)]).await;
        assert_eq!(response.body().is_empty(), response.status() == StatusCode::NOT_MODIFIED);
        assert_eq!(header(&response, "etag"), "W/\"4.8.4\"");
        assert_eq!(header(&response, "cache-control"), "public, max-age=0");
        response.status().as_u16()
    };
    assert_eq!(status("\"4.8.4\"").await, 304);
    assert_eq!(status("W/\"4.8.4\"").await, 304);
    assert_eq!(status("*").await, 304);
    assert_eq!(status("\"4.8.3\", W/\"4.8.4\"").await, 304);
    assert_eq!(status("W/\"a\" ,\"4.8.4\",\"b\"").await, 304);
    assert_eq!(status("\"4.8.3\"").await, 200);
    assert_eq!(status("\"4.8.3\", \"4.8.40\"").await, 200);
    assert_eq!(status("").await, 200);
    let lines = [("if-none-match", "\"a\""), ("if-none-match", "\"4.8.4\"")];
    let response = get(&io, "/socket.io/socket.io.js", &lines).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(status("4.8.4").await, 200);
}

#[tokio::test]
async fn client_files_carry_cors_headers() {
    let io = serving("cors");
    let response = get(&io, "/socket.io/socket.io.js", &[("origin", "http://example.com")]).await;
    assert_eq!(header(&response, "access-control-allow-origin"), "http://example.com");
}

#[cfg(feature = "compression")]
#[tokio::test]
async fn client_files_are_compressed() {
    let io = serving("compressed");
    for encoding in ["gzip", "br", "deflate"] {
        let headers = [("accept-encoding", encoding)];
        let response = get(&io, "/socket.io/socket.io.js", &headers).await;
        assert_eq!(header(&response, "content-encoding"), encoding);
        assert!(header(&response, "vary").contains("accept-encoding"));
        assert!(response.body().len() < 2000);
    }
    assert_eq!(header(&get(&io, "/socket.io/socket.io.js", &[]).await, "content-encoding"), "");
}

#[tokio::test]
async fn other_files_are_not_served() {
    let io = serving("else");
    for path in [
        "/socket.io/secret.txt",
        "/socket.io/../package.json",
        "/socket.io/..%2fpackage.json",
        "/socket.io/%2e%2e/package.json",
        "/socket.io/dist/socket.io.js",
        "/socket.io/socket.io.js/../secret.txt",
        "/socket.io/",
    ] {
        let response = get(&io, path, &[]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert!(response.body().starts_with(br#"{"code":"#), "{path}");
    }
    // The protocol is served at the same path.
    let open = get(&io, "/socket.io/?EIO=4&transport=polling", &[]).await;
    assert!(open.body().starts_with(b"0{"));
    let off = get(&Server::new(), "/socket.io/socket.io.js", &[]).await;
    assert_eq!(off.status(), StatusCode::BAD_REQUEST);
    assert!(ClientFiles::from_dir(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).is_err());
}
