//! The agent's side of the socket.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::protocol::{Ask, Request, Response, VERSION};

/// Root and the socket's group.
const MODE: u32 = 0o660;
/// No request is nearly so long.
const LONGEST: u64 = 64 << 10;
/// How many clients are served at once; more wait.
const CLIENTS: usize = 16;
/// A client that says nothing for so long is hung up on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the socket cannot be had.
#[derive(Debug)]
pub enum ListenError {
    /// Another agent answers there.
    InUse {
        /// Where.
        socket: PathBuf,
    },
    /// There is a file that is no socket.
    NoSocket {
        /// Where.
        socket: PathBuf,
    },
    /// The kernel refuses.
    Refused {
        /// Where.
        socket: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The socket; its file goes when this goes.
#[derive(Debug)]
pub struct Listener {
    socket: PathBuf,
    listener: Option<StdListener>,
}

impl Listener {
    /// Takes the socket. A file that a dead agent left behind is removed; its folder is made if it is missing.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind(socket: &Path) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Refused { socket: socket.to_owned(), source };
        match std::fs::symlink_metadata(socket) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ListenError::NoSocket { socket: socket.to_owned() });
            }
            Ok(_) if StdStream::connect(socket).is_ok() => {
                return Err(ListenError::InUse { socket: socket.to_owned() });
            }
            Ok(_) => std::fs::remove_file(socket).map_err(refused)?,
            Err(_) => {}
        }
        if let Some(folder) = socket.parent().filter(|it| !it.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(refused)?;
        }
        let listener = StdListener::bind(socket).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(MODE)).map_err(refused)?;
        Ok(Self { socket: socket.to_owned(), listener: Some(listener) })
    }

    /// Serves for as long as it is polled; `answer` answers each request. Runs in a tokio runtime.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub async fn serve<A, F>(mut self, answer: A) -> io::Result<()>
    where
        A: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let listener = UnixListener::from_std(listener)?;
        let clients = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&clients).acquire_owned().await else { return Ok(()) };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answer = answer.clone();
                    tokio::spawn(async move {
                        // The client has gone away, or says nothing: its loss.
                        let (read, write) = stream.into_split();
                        let _ended = serve_client(read, write, answer).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, say: it passes, and must not become a busy loop.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Left behind, it would be removed by the next agent.
        let _removed = std::fs::remove_file(&self.socket);
    }
}

/// Answers each line that one client writes, until it says no more.
///
/// # Errors
/// It has gone away, says nothing for 30 seconds, or does not read its answers.
pub async fn serve_client<R, W, A, F>(read: R, mut write: W, answer: A) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    A: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(LONGEST);
        let length = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        // The rest of it would be taken for a line of its own.
        let too_long = limited.limit() == 0 && !line.ends_with(b"\n");
        let response = if too_long {
            refused(format!("not a request: a line of more than {LONGEST} bytes"))
        } else {
            match serde_json::from_slice::<Ask>(&line) {
                Ok(ask) if ask.version == VERSION => answer(ask.request).await,
                Ok(ask) => refused(format!(
                    "this agent speaks version {VERSION}, not {}: use the tool of the agent's version",
                    ask.version
                )),
                Err(error) => refused(format!(
                    "not a request ({error}): one JSON object per line is expected, such as \
                     {{\"version\":{VERSION},\"request\":\"status\"}}"
                )),
            }
        };
        let mut bytes = serde_json::to_vec(&response)?;
        bytes.push(b'\n');
        tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await??;
        if too_long {
            return Ok(());
        }
    }
}

fn refused(why: String) -> Response {
    Response::Refused { why }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { socket } => write!(
                f,
                "another agent is running: it answers at {}. Stop it (`systemctl stop standin`), or give this \
                 one a socket of its own (--socket PATH)",
                socket.display()
            ),
            Self::NoSocket { socket } => write!(
                f,
                "{} exists and is not a socket: remove it, or name another path (--socket PATH)",
                socket.display()
            ),
            Self::Refused { socket, source } => write!(
                f,
                "cannot listen for the operator at {}: {source}. The folder must be this user's to write to; \
                 or name another path (--socket PATH)",
                socket.display()
            ),
        }
    }
}

impl std::error::Error for ListenError {}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;
    use crate::control::client::{self, AskError};

    fn pong() -> Response {
        Response::Pong { version: VERSION, node: "a".into(), pid: 1 }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn answers_what_is_asked_and_refuses_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/standin.sock");
        let listener = Listener::bind(&socket).unwrap();
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, MODE);
        let serving = tokio::spawn(listener.serve(|request| async move {
            assert_eq!(request, Request::Ping);
            pong()
        }));
        let path = socket.clone();
        let asked = tokio::task::spawn_blocking(move || client::ask(&path, Request::Ping)).await.unwrap();
        assert_eq!(asked.unwrap(), pong());
        let mut raw = UnixStream::connect(&socket).await.unwrap();
        raw.write_all(b"hello\n{\"version\":9,\"request\":\"ping\"}\n").await.unwrap();
        let mut lines = BufReader::new(raw).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.contains("refused") && first.contains("one JSON object per line"), "{first}");
        let second = lines.next_line().await.unwrap().unwrap();
        assert!(second.contains("speaks version 1, not 9"), "{second}");
        assert!(matches!(Listener::bind(&socket), Err(ListenError::InUse { .. })));
        serving.abort();
        let _ = serving.await;
        assert!(!socket.exists(), "the socket's file goes with the agent");
        assert!(matches!(client::ask(&socket, Request::Ping), Err(AskError::NoAgent { .. })));
    }

    #[tokio::test]
    async fn the_end_of_a_line_that_is_too_long_is_no_request() {
        let mut said = b" ".repeat(usize::try_from(LONGEST).unwrap());
        said.extend_from_slice(b"{\"version\":1,\"request\":\"ping\"}\n");
        let mut answers = Vec::new();
        let answer = |request| async move { panic!("{request:?} was taken for a request") };
        serve_client(&said[..], &mut answers, answer).await.unwrap();
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.lines().count(), 1, "{answers}");
        assert!(answers.contains("a line of more than 65536 bytes"), "{answers}");
    }

    #[test]
    fn what_a_dead_agent_left_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("standin.sock");
        drop(StdListener::bind(&socket).unwrap());
        assert!(socket.exists());
        drop(Listener::bind(&socket).unwrap());
        std::fs::write(&socket, "").unwrap();
        let error = Listener::bind(&socket).unwrap_err();
        assert!(error.to_string().contains("is not a socket: remove it"), "{error}");
        assert!(socket.exists());
    }
}
