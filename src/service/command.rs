//! A service that is three programs of the operator's: start, stop, status.

use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};
use tokio::time::sleep;

use super::poll::{Answer, Busy, poll};
use super::program::{How, Program};
use super::state::{Failure, Seriousness, Sight, State};
use crate::config::Commands;

/// A service whose start has ended may take so long to be there.
const SETTLES: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// So much of what a program says is kept, in bytes.
const KEPT: usize = 2048;

/// A service of three programs.
#[derive(Clone, Debug)]
pub struct CommandService {
    commands: Commands,
    every: Duration,
    busy: Busy,
}

impl CommandService {
    pub(super) fn new(commands: &Commands, every: Duration) -> Self {
        Self { commands: commands.clone(), every, busy: Busy::default() }
    }

    pub(super) async fn start(&self, bound: Duration) -> Result<(), Failure> {
        let _work = self.busy.work();
        // One that runs is not started twice.
        if self.status().await.runs() == Some(true) {
            return Ok(());
        }
        let ended = program(&self.commands.start, bound).run().await;
        if !ended.is_well() {
            return Err(Failure::soft(format!("{} {ended}", name(&self.commands.start))));
        }
        let mut left = bound.min(SETTLES);
        loop {
            let state = self.status().await;
            if state.runs() == Some(true) {
                return Ok(());
            }
            if left.is_zero() {
                let said = words(&state);
                let why = format!("{} ended well, but {said}", name(&self.commands.start));
                // Who cannot say that it does not run has not failed.
                return Err(Failure { unknown: state.runs().is_none(), ..Failure::soft(why) });
            }
            sleep(LOOK_AGAIN).await;
            left = left.saturating_sub(LOOK_AGAIN);
        }
    }

    pub(super) async fn stop(&self, bound: Duration) -> Result<(), String> {
        let _work = self.busy.work();
        let ended = program(&self.commands.stop, bound).run().await;
        if !ended.is_well() {
            return Err(format!("{} {ended}", name(&self.commands.stop)));
        }
        match self.status().await {
            State::Stopped => Ok(()),
            state @ (State::Runs { .. }
            | State::Starts
            | State::Stops
            | State::Failed(_)
            | State::Unknown(_)) => {
                Err(format!("{} ended well, but {}", name(&self.commands.stop), words(&state)))
            }
        }
    }

    pub(super) async fn watch(self, sight: Sender<Sight>, asked: Receiver<u64>) {
        let ask = || async { Answer { state: self.status().await, kind: Seriousness::Soft } };
        poll(ask, self.every, self.busy.clone(), sight, asked).await;
    }

    /// By exit code, as the LSB has it for init scripts: 0 runs, 3 does not.
    async fn status(&self) -> State {
        let ended = program(&self.commands.status, self.every).run().await;
        let text = format!("{} {ended}", name(&self.commands.status));
        match (&ended.how, ended.code) {
            (How::Well, _) => State::Runs { degraded: None },
            (How::Badly(_), Some(3)) => State::Stopped,
            (How::Badly(_), _) => State::Failed(text),
            (How::TooLate(_) | How::NotStarted(_), _) => State::Unknown(text),
        }
    }
}

fn program(words: &[String], timeout: Duration) -> Program<'_> {
    // Half a start is worth nothing once a stop is wanted.
    Program { words, environment: Vec::new(), input: None, timeout, dies_unwatched: true, kept: KEPT }
}

/// The program alone: what its arguments are is nobody's business but its own.
fn name(words: &[String]) -> String {
    format!("`{}`", words.first().map_or("", String::as_str))
}

fn words(state: &State) -> String {
    match state {
        State::Runs { .. } => "its status says that it runs".to_owned(),
        State::Stopped => "its status says that it does not run".to_owned(),
        State::Failed(why) | State::Unknown(why) => why.clone(),
        State::Starts | State::Stops => "it is on its way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).into()
    }

    fn service(start: &str, stop: &str, status: &str) -> CommandService {
        let commands = Commands { start: sh(start), stop: sh(stop), status: sh(status) };
        CommandService::new(&commands, Duration::from_millis(300))
    }

    const BOUND: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_runs_by_the_word_of_its_status() {
        let folder = tempfile::tempdir().unwrap();
        let up = folder.path().join("up").display().to_string();
        let (start, stop) = (format!("echo x >> {up}"), format!("rm -f {up}"));
        let service = service(&start, &stop, &format!("[ -e {up} ] || exit 3"));
        assert_eq!(service.status().await, State::Stopped);
        service.start(BOUND).await.unwrap();
        assert_eq!(service.status().await, State::Runs { degraded: None });
        service.start(BOUND).await.unwrap();
        assert_eq!(std::fs::read_to_string(&up).unwrap(), "x\n", "it is not started twice");
        service.stop(BOUND).await.unwrap();
        service.stop(BOUND).await.unwrap();
        assert_eq!(service.status().await, State::Stopped);
    }

    #[tokio::test]
    async fn a_status_is_judged_by_its_code_and_one_that_hangs_says_nothing() {
        let status = async |script: &str| service("true", "true", script).status().await;
        assert!(
            matches!(status("echo dead; exit 1").await, State::Failed(why) if why.contains("exit status: 1); it said: dead"))
        );
        assert!(matches!(status("exit 4").await, State::Failed(_)));
        assert!(matches!(status("kill -9 $$").await, State::Failed(_)));
        assert!(
            matches!(status("sleep 60").await, State::Unknown(why) if why.contains("did not end within 300ms and was killed"))
        );
        let mut none = service("true", "true", "true");
        none.commands.status = vec!["/nonexistent".into()];
        assert!(matches!(none.status().await, State::Unknown(why) if why.contains("No such file")));
    }

    #[tokio::test]
    async fn a_start_or_a_stop_that_lies_is_found_out() {
        let failure = service("echo no; exit 1", "true", "exit 3").start(BOUND).await.unwrap_err();
        assert!(failure.why.contains("`/bin/sh` failed (exit status: 1); it said: no"), "{failure}");
        let lies = service("true", "true", "exit 3").start(Duration::from_millis(300)).await.unwrap_err();
        assert!(
            lies.why.contains("ended well, but its status says that it does not run") && !lies.unknown,
            "{lies}"
        );
        let late = service("sleep 60", "true", "exit 3").start(Duration::from_millis(200)).await.unwrap_err();
        assert!(late.why.contains("did not end within 200ms and was killed"), "{late}");
        let why = service("true", "true", "true").stop(BOUND).await.unwrap_err();
        assert!(why.contains("ended well, but its status says that it runs"), "{why}");
    }

    #[tokio::test]
    async fn a_start_that_is_no_longer_wanted_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, sign) = (folder.path().join("begun"), folder.path().join("sign"));
        let start = format!("(sleep 0.6; touch {}) & touch {}; sleep 5", sign.display(), begun.display());
        let service = service(&start, "true", "exit 3");
        let until_begun = async {
            while !begun.exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = service.start(BOUND) => panic!("it cannot have ended"),
            () = until_begun => {}
        }
        sleep(Duration::from_millis(900)).await;
        assert!(!sign.exists(), "its child lived on");
    }
}
