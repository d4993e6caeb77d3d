//! A program of the operator's, run to its end in bounded time, with all that it starts.

use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

/// How long its last words may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A program, and how it is run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program<'a> {
    /// Program and arguments.
    pub words: &'a [String],
    /// What it finds in its environment besides what it inherits.
    pub environment: Vec<(String, String)>,
    /// What it may read from standard input.
    pub input: Option<String>,
    /// Its process group is killed after this.
    pub timeout: Duration,
    /// Its process group is killed, too, when nobody waits for its end any more.
    pub dies_unwatched: bool,
    /// So much of what it says is kept, in bytes.
    pub kept: usize,
}

/// How a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// In what way.
    pub how: How,
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The beginning of what it wrote to standard output and standard error.
    pub said: String,
}

/// In what way a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum How {
    /// By itself, with 0.
    Well,
    /// By itself with another code, or by a signal.
    Badly(String),
    /// It was killed, with all its process group.
    TooLate(Duration),
    /// It could not be started.
    NotStarted(String),
}

/// A process group that is killed when this is dropped, unless its program has ended.
struct Unwatched(Option<Pid>);

impl Drop for Unwatched {
    fn drop(&mut self) {
        kill(self.0);
    }
}

impl Program<'_> {
    /// Runs it to its end, which comes within its timeout: then its process group is killed.
    pub async fn run(&self) -> Ended {
        let mut child = match self.start() {
            Ok(child) => child,
            Err(why) => return Ended { how: How::NotStarted(why), code: None, said: String::new() },
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = [
            child.stdout.take().map(|it| tokio::spawn(listen(it, Arc::clone(&said), self.kept))),
            child.stderr.take().map(|it| tokio::spawn(listen(it, Arc::clone(&said), self.kept))),
        ];
        if let Some((stdin, input)) = child.stdin.take().zip(self.input.clone()) {
            tokio::spawn(tell(stdin, input));
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut unwatched = Unwatched(group.filter(|_| self.dies_unwatched));
        let ended = tokio::time::timeout(self.timeout, child.wait()).await;
        let (how, code) = match ended {
            Ok(Ok(status)) if status.success() => (How::Well, Some(0)),
            Ok(Ok(status)) => (How::Badly(status.to_string()), status.code()),
            Ok(Err(error)) => (How::Badly(error.to_string()), None),
            Err(_elapsed) => {
                kill(group);
                // One that the kernel holds, on a dead disk say, ends when it ends.
                let _reaped = tokio::time::timeout(LAST_WORDS, child.wait()).await;
                (How::TooLate(self.timeout), None)
            }
        };
        // What it has left behind on purpose, a service say, lives on.
        unwatched.0 = None;
        // And may keep the pipe open for as long as it lives.
        for reader in readers.into_iter().flatten() {
            let stop = reader.abort_handle();
            if tokio::time::timeout(LAST_WORDS, reader).await.is_err() {
                stop.abort();
            }
        }
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        Ended { how, code, said: String::from_utf8_lossy(&said).trim().to_owned() }
    }

    fn start(&self) -> Result<Child, String> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err("it names no program".to_owned());
        };
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        Command::new(program)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())
    }
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // It may have just ended.
        let _killed = kill_process_group(group, Signal::KILL);
    }
}

/// Whoever does not read it is not waited for.
async fn tell(mut stdin: ChildStdin, input: String) {
    let _told = stdin.write_all(input.as_bytes()).await;
}

async fn listen(mut pipe: impl AsyncRead + Unpin, said: Arc<Mutex<Vec<u8>>>, kept: usize) {
    let mut buffer = [0; 512];
    // What is more than is kept is read all the same: a full pipe would stop the program.
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = kept.saturating_sub(said.len()).min(length);
        said.extend_from_slice(&buffer[..room]);
    }
}

impl Ended {
    /// Whether it did what it should.
    pub fn is_well(&self) -> bool {
        self.how == How::Well
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            How::Well => f.write_str("ended well")?,
            How::Badly(status) => write!(f, "failed ({status})")?,
            How::TooLate(after) => {
                write!(f, "did not end within {} and was killed", humantime::format_duration(*after))?
            }
            How::NotStarted(why) => write!(f, "could not be started ({why})")?,
        }
        if !self.said.is_empty() {
            write!(f, "; it said: {}", self.said.escape_debug())?;
        }
        Ok(())
    }
}
