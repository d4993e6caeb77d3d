//! The operator's programs that run when a node becomes active or standby.

use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::config::{Hook, HookEvent};

/// So much of what a hook says is kept, in bytes.
const KEPT: usize = 2048;
/// How long its last words may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What a hook is told in its environment, besides what it inherits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// STANDIN_CLUSTER.
    pub cluster: String,
    /// STANDIN_GROUP.
    pub group: String,
    /// STANDIN_NODE: this node.
    pub node: String,
}

/// How a hook ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// In what way.
    pub how: How,
    /// The beginning of what it wrote to standard output and standard error.
    pub said: String,
}

/// In what way a hook ended.
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

/// Runs one hook to its end, which comes within its timeout: then its process group is killed.
pub async fn run(hook: &Hook, about: &About) -> Ended {
    run_program(&hook.run, about, event_name(hook.on), hook.timeout).await
}

/// Runs a program to its end, which comes within the timeout: then its process group is killed. `event` is what
/// STANDIN_EVENT says.
pub async fn run_program(words: &[String], about: &About, event: &str, timeout: Duration) -> Ended {
    let Some((program, arguments)) = words.split_first() else {
        return Ended { how: How::NotStarted("it names no program".into()), said: String::new() };
    };
    let spawned = Command::new(program)
        .args(arguments)
        .env("STANDIN_CLUSTER", &about.cluster)
        .env("STANDIN_GROUP", &about.group)
        .env("STANDIN_NODE", &about.node)
        .env("STANDIN_EVENT", event)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A hook that runs while the agent ends runs on: half a promotion is worse than a late one.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ended { how: How::NotStarted(error.to_string()), said: String::new() },
    };
    let said = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child.stdout.take().map(|it| tokio::spawn(listen(it, Arc::clone(&said)))),
        child.stderr.take().map(|it| tokio::spawn(listen(it, Arc::clone(&said)))),
    ];
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let how = match tokio::time::timeout(timeout, child.wait()).await {
        Ok(Ok(status)) if status.success() => How::Well,
        Ok(Ok(status)) => How::Badly(status.to_string()),
        Ok(Err(error)) => How::Badly(error.to_string()),
        Err(_elapsed) => {
            if let Some(group) = group {
                // It may have just ended.
                let _killed = kill_process_group(group, Signal::KILL);
            }
            let _reaped = child.wait().await;
            How::TooLate(timeout)
        }
    };
    // A service that the hook has started may keep the pipe open for as long as it lives.
    for reader in readers.into_iter().flatten() {
        let stop = reader.abort_handle();
        if tokio::time::timeout(LAST_WORDS, reader).await.is_err() {
            stop.abort();
        }
    }
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    Ended { how, said: String::from_utf8_lossy(&said).trim().to_owned() }
}

/// The event, as in the configuration and in STANDIN_EVENT.
pub const fn event_name(event: HookEvent) -> &'static str {
    match event {
        HookEvent::Promote => "promote",
        HookEvent::Demote => "demote",
    }
}

async fn listen(mut pipe: impl AsyncRead + Unpin, said: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 512];
    // What is more than is kept is read all the same: a full pipe would stop the hook.
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(said.len()).min(length);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HookFailure, HookWhen};

    fn shell(script: &str, timeout: u64) -> Hook {
        Hook {
            on: HookEvent::Promote,
            when: HookWhen::After,
            on_failure: HookFailure::Ignore,
            run: vec!["/bin/sh".into(), "-c".into(), script.into()],
            timeout: Duration::from_millis(timeout),
        }
    }

    fn about() -> About {
        About { cluster: "c".into(), group: "g".into(), node: "n".into() }
    }

    #[tokio::test]
    async fn a_hook_knows_what_happened_and_its_words_are_kept() {
        let script =
            "echo $STANDIN_CLUSTER $STANDIN_GROUP $STANDIN_NODE $STANDIN_EVENT; echo bad >&2; exit 3";
        let ended = run(&shell(script, 5000), &about()).await;
        assert_eq!(ended.how, How::Badly("exit status: 3".into()));
        assert!(ended.said.contains("c g n promote") && ended.said.contains("bad"), "{}", ended.said);
    }

    #[tokio::test]
    async fn a_hook_that_does_not_end_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let sign = folder.path().join("sign");
        let script = format!("(sleep 0.6; touch {}) & sleep 5", sign.display());
        let ended = run(&shell(&script, 200), &about()).await;
        assert_eq!(ended.how, How::TooLate(Duration::from_millis(200)));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!sign.exists(), "its child lived on");
    }

    #[tokio::test]
    async fn a_service_that_a_hook_leaves_behind_does_not_hold_it_up() {
        let (hook, about) = (shell("sleep 3 & exit 0", 1500), about());
        let ended = tokio::time::timeout(Duration::from_secs(2), run(&hook, &about));
        assert_eq!(ended.await.unwrap().how, How::Well);
    }

    #[tokio::test]
    async fn much_output_and_no_program_are_no_trouble() {
        let ended = run(&shell("head -c 300000 /dev/zero | tr '\\0' x", 5000), &about()).await;
        assert_eq!((ended.how, ended.said.len()), (How::Well, KEPT));
        let none = Hook { run: vec!["/nonexistent".into()], ..shell("", 100) };
        let ended = run(&none, &about()).await;
        assert!(ended.to_string().starts_with("could not be started (No such file"), "{ended}");
    }
}
