//! Asks an agent. Blocking: the tools that use it have nothing else to do.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Ask, Request, Response, VERSION};

/// An agent answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is nearly so long.
const LONGEST: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens.
    NoAgent {
        /// Where nobody listens.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody listens and does not answer.
    NoAnswer {
        /// Where.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What came is no answer.
    NotUnderstood {
        /// From where.
        socket: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Asks the agent at this socket.
///
/// # Errors
/// There is no agent, or no answer of it within five seconds.
pub fn ask(socket: &Path, request: Request) -> Result<Response, AskError> {
    let mut stream = UnixStream::connect(socket)
        .map_err(|source| AskError::NoAgent { socket: socket.to_owned(), source })?;
    let no_answer = |source| AskError::NoAnswer { socket: socket.to_owned(), source };
    let not_understood = |why: String| AskError::NotUnderstood { socket: socket.to_owned(), why };
    let mut line = serde_json::to_vec(&Ask { version: VERSION, request })
        .map_err(|error| not_understood(error.to_string()))?;
    line.push(b'\n');
    stream.set_read_timeout(Some(PATIENCE)).map_err(no_answer)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(no_answer)?;
    stream.write_all(&line).map_err(no_answer)?;
    let answer = read_response(stream).map_err(no_answer)?;
    answer.map_err(|error| not_understood(error.to_string()))
}

/// Reads one answer.
///
/// # Errors
/// The outer one: there is no line of text. The inner one: it is no answer.
pub fn read_response(from: impl io::Read) -> io::Result<Result<Response, serde_json::Error>> {
    let mut answer = String::new();
    if BufReader::new(from.take(LONGEST)).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer))
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent { socket, source } if source.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "no access to the agent's socket {}: run this as root, or as a member of the socket's group",
                socket.display()
            ),
            Self::NoAgent { socket, source } => write!(
                f,
                "no agent answers at {} ({source}): start one with `systemctl start standin`, or name its \
                 socket with --socket PATH",
                socket.display()
            ),
            Self::NoAnswer { socket, source } => write!(
                f,
                "the agent at {} does not answer ({source}): look into its log with `journalctl -u standin`",
                socket.display()
            ),
            Self::NotUnderstood { socket, why } => write!(
                f,
                "the answer of the agent at {} is not understood ({why}): agent and tool should be of the same \
                 version",
                socket.display()
            ),
        }
    }
}

impl std::error::Error for AskError {}
