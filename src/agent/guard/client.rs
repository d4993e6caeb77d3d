//! The agent's side of the guard.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use super::protocol::{Answer, Ask, LONGEST, Question, VERSION};

/// A guard that runs answers within a millisecond.
const ANSWER: Duration = Duration::from_millis(300);
/// systemd starts a transient unit within some 50 ms.
const START: Duration = Duration::from_secs(5);
/// How often a guard that is being started is asked.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A line to the guard.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    n: u64,
}

/// Why the guard does not do what it should.
#[derive(Debug)]
pub enum GuardError {
    /// It is not there, or does not answer.
    Silent(io::Error),
    /// It refuses.
    Refused(String),
    /// It cannot be started.
    NotStarted(String),
}

impl Client {
    /// A line to the guard with this socket; nothing is sent yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None, n: 0 }
    }

    /// Asks the guard and waits for its answer, 300 ms at most.
    ///
    /// # Errors
    /// There is no guard, it does not answer, or it refuses.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, GuardError> {
        let answer = timeout(ANSWER, self.exchange(ask)).await;
        let answer = answer.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
        match answer {
            Ok(Answer { refused: Some(why), .. }) => Err(GuardError::Refused(why)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                // Another guard may be there the next time.
                self.socket = None;
                Err(GuardError::Silent(error))
            }
        }
    }

    async fn exchange(&mut self, ask: Ask) -> io::Result<Answer> {
        self.n += 1;
        let n = self.n;
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(&self.path)?),
        };
        socket.send(&serde_json::to_vec(&Question { version: VERSION, n, ask })?).await?;
        let mut buffer = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let answer: Answer = serde_json::from_slice(buffer.get(..length).unwrap_or_default())?;
            // One that came too late for its question is not the answer to this one.
            if answer.n == n {
                return Ok(answer);
            }
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    // A name of its own, so that the guard can answer. Once connected, the kernel lets nobody else send to it.
    let name = format!("standin-{}-{:016x}", std::process::id(), getrandom::u64().unwrap_or_default());
    let socket = StdDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// Starts a guard as a transient unit of systemd, `unit`, and waits until it answers. One that runs under this
/// name and does not answer is killed: systemd starts it anew.
///
/// # Errors
/// systemd does not start it, or it does not answer.
pub async fn start(program: &Path, unit: &str, client: &mut Client) -> Result<Answer, GuardError> {
    let not_started = |error: &dyn fmt::Display| GuardError::NotStarted(error.to_string());
    let (program, socket) = (program.display().to_string(), client.path.display().to_string());
    let named = format!("--unit={unit}");
    let state = format!("/run/{unit}.json");
    let words = [
        "--quiet",
        "--collect",
        &named,
        "--description=standin's guard: kills a service whose lease is over",
        // It outlives the stop of everything that it guards, also when the system goes down.
        "--property=DefaultDependencies=no",
        "--property=Restart=on-failure",
        "--property=RestartSec=50ms",
        "--property=StartLimitIntervalSec=0",
        "--property=OOMScoreAdjust=-1000",
        "--property=LimitMEMLOCK=infinity",
        "--",
        &program,
        "guard",
        "--socket",
        &socket,
        "--state",
        &state,
    ];
    if let Err(error) = run("systemd-run", &words, START).await {
        let kill = ["kill", "--signal=KILL", "--", unit];
        run("systemctl", &kill, START).await.map_err(|_| not_started(&error))?;
    }
    let answers = async {
        loop {
            match client.ask(Ask::Look).await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    };
    let answer = timeout(START, answers).await;
    answer
        .map_err(|_| not_started(&format!("{unit} was started and does not answer: `journalctl -u {unit}`")))
}

/// Runs a program of systemd's. Not over D-Bus: a guard is wanted also where the bus is gone (`systemd-run` and
/// `systemctl` speak with systemd itself, as root), and nothing waits for it.
async fn run(program: &str, words: &[&str], bound: Duration) -> Result<(), String> {
    let what = || format!("`{program} {}`", words.join(" "));
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    match timeout(bound, command.output()).await {
        Err(_elapsed) => Err(format!("{} did not end within {}", what(), humantime::format_duration(bound))),
        Ok(Err(error)) => Err(format!("{} failed: {error}", what())),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            let said = if said.is_empty() { output.status.to_string() } else { said };
            Err(format!("{} failed: {}", what(), said.escape_debug()))
        }
    }
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(error) => write!(f, "the guard does not answer: {error}"),
            Self::Refused(why) => write!(f, "the guard refuses: {why}"),
            Self::NotStarted(why) => write!(f, "the guard cannot be started: {why}"),
        }
    }
}

impl std::error::Error for GuardError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_is_missing_says_so() {
        let second = Duration::from_secs(20);
        assert_eq!(run("sh", &["-c", "exit 0"], second).await, Ok(()));
        let failed = run("sh", &["-c", "echo no >&2; exit 3"], second).await.unwrap_err();
        assert!(failed.ends_with("failed: no"), "{failed}");
        let missing = run("/nowhere/systemctl", &["stop"], second).await.unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        let hangs = run("sleep", &["600"], Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(hangs, "`sleep 600` did not end within 50ms");
    }
}
