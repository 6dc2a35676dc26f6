//! Upload with progress: the page sends a file in pieces and waits for the ack of each, so that the
//! acks are the progress, and neither side holds more than a piece in memory.
//!
//! ```sh
//! cargo run -p socketio-server --example upload     # open http://127.0.0.1:3000
//! ```
//!
//! Environment: `UPLOADS` (the folder of the files; by default one below the system's folder for
//! temporary files).

mod shared;

use std::{env, error::Error, path::PathBuf, sync::Arc};

use socketio_server::{Binary, Data, HandlerError, Server, Socket, State, generate_sid};
use tokio::{fs::File, io::AsyncWriteExt, sync::Mutex};

const MAX_SIZE: u64 = 100_000_000;
/// The size of a piece in bytes. It is below `max_payload`.
const PIECE: u32 = 256 * 1024;

/// The upload of a socket. There is one at a time.
#[derive(Default)]
struct Upload(Mutex<Option<Unfinished>>);

struct Unfinished {
    path: PathBuf,
    file: File,
    size: u64,
    received: u64,
}

impl Drop for Unfinished {
    /// Removes the file of a client that has gone.
    fn drop(&mut self) {
        if self.received < self.size {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::var_os("UPLOADS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| env::temp_dir().join("socketio-uploads"));
    tokio::fs::create_dir_all(&folder).await?;
    println!("files go to {}", folder.display());

    let io = Server::with_config(shared::config()?.state(folder));
    // The ack is the size of a piece. The name of the file is not used for a path here, because the
    // client chooses it.
    io.on(
        "start",
        |socket: Socket, State(folder): State<PathBuf>, Data(size): Data<u64>| async move {
            if size == 0 || size > MAX_SIZE {
                return Err(HandlerError::public(format!("a file has 1 to {MAX_SIZE} bytes")));
            }
            let path = folder.join(&*generate_sid()?);
            let file = File::create_new(&path).await?;
            let upload = socket.data_or_insert_with(Upload::default);
            *upload.0.lock().await = Some(Unfinished { path, file, size, received: 0 });
            Ok(PIECE)
        },
    );
    // The ack is the number of bytes that are on the disk.
    io.on("piece", |socket: Socket, Data(Binary(bytes)): Data<Binary>| async move {
        let upload: Arc<Upload> = socket.data_or_insert_with(Upload::default);
        let mut slot = upload.0.lock().await;
        let Some(upload) = slot.as_mut() else { return Err(HandlerError::public("no upload")) };
        if upload.received + bytes.len() as u64 > upload.size {
            *slot = None;
            return Err(HandlerError::public("more bytes than announced"));
        }
        upload.file.write_all(&bytes).await?;
        upload.received += bytes.len() as u64;
        let received = upload.received;
        if received == upload.size {
            upload.file.sync_all().await?;
            *slot = None;
        }
        Ok(received)
    });
    shared::run(io, include_str!("pages/upload.html")).await
}
