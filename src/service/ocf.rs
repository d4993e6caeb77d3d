//! An OCF resource agent as a service. What it finds in its environment, and what its exit codes mean, is as the
//! Open Cluster Framework has it ("OCF Resource Agent API" 1.1) and as Pacemaker does it ("Resource Agents"), so that
//! agents run here unchanged.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};
use tokio::time::{Instant, timeout};

use super::poll::{Answer, Busy, poll};
use super::program::{Ended, How, Program};
use super::state::{Failure, Seriousness, Sight, State};
use crate::config::Ocf;

/// Where agents are, unless OCF_ROOT says otherwise.
const ROOT: &str = "/usr/lib/ocf";
/// Where agents keep their small state (ocf-directories of resource-agents), unless HA_RSCTMP says otherwise.
const SCRATCH: &str = "/run/resource-agents";
/// How an agent marks the line that says why it failed.
const REASON: &str = "ocf-exit-reason:";
/// So much of what an agent says is kept, in bytes: its reason comes at the end.
const KEPT: usize = 16_384;
/// How long `validate-all` may take: Pacemaker's default for every action.
const VALIDATES: Duration = Duration::from_secs(20);
/// What `validate-all` refuses may have been mended after this.
const VALIDATE_AGAIN: Duration = Duration::from_secs(60);

/// A resource agent with its parameters.
#[derive(Clone, Debug)]
pub struct OcfService {
    ocf: Ocf,
    /// OCF_RESOURCE_INSTANCE: tells two uses of one agent apart.
    instance: String,
    root: PathBuf,
    scratch: PathBuf,
    every: Duration,
    busy: Busy,
}

/// How an action ended.
#[derive(Debug)]
struct Action {
    name: &'static str,
    ended: Ended,
}

impl OcfService {
    pub(super) fn new(ocf: &Ocf, instance: &str, every: Duration) -> Self {
        let from =
            |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| usual.into(), PathBuf::from);
        Self {
            ocf: ocf.clone(),
            instance: instance.to_owned(),
            root: from("OCF_ROOT", ROOT),
            scratch: from("HA_RSCTMP", SCRATCH),
            every,
            busy: Busy::default(),
        }
    }

    pub(super) async fn start(&self, bound: Duration) -> Result<(), Failure> {
        let _work = self.busy.work();
        // As Pacemaker probes first: also an agent may start twice what runs.
        if self.act("monitor", self.every, Duration::ZERO).await.state().runs() == Some(true) {
            return Ok(());
        }
        let action = self.act("start", bound, Duration::ZERO).await;
        if action.ended.is_well() { Ok(()) } else { Err(Failure::of(self.text(&action), action.kind())) }
    }

    pub(super) async fn stop(&self, bound: Duration) -> Result<(), String> {
        let _work = self.busy.work();
        let action = self.act("stop", bound, Duration::ZERO).await;
        if action.ended.is_well() { Ok(()) } else { Err(self.text(&action)) }
    }

    pub(super) async fn watch(self, sight: Sender<Sight>, asked: Receiver<u64>) {
        let ask = || async {
            let action = self.act("monitor", self.every, self.every).await;
            let state = match action.state() {
                State::Failed(_) => State::Failed(self.text(&action)),
                State::Unknown(_) => State::Unknown(self.text(&action)),
                state @ (State::Runs { .. } | State::Starts | State::Stops | State::Stopped) => state,
            };
            Answer { state, kind: action.kind() }
        };
        tokio::spawn(self.clone().validate(sight.clone()));
        poll(ask, self.every, self.busy.clone(), sight, asked).await;
    }

    /// Says whether the agent finds what it needs on this node.
    async fn validate(self, sight: Sender<Sight>) {
        loop {
            let began = Instant::now();
            let action = self.act("validate-all", VALIDATES, Duration::ZERO).await;
            let unfit = match (&action.ended.how, action.ended.code) {
                // 3: it does not know the action.
                (How::Well, _) | (How::Badly(_), Some(3)) => None,
                (How::Badly(_) | How::NotStarted(_), _) => Some(self.text(&action)),
                // It says nothing.
                (How::TooLate(_), _) => sight.borrow().unfit.clone(),
            };
            let well = unfit.is_none();
            sight.send_if_modified(|seen| {
                let news = seen.unfit != unfit;
                seen.unfit = unfit;
                news
            });
            let pause = VALIDATE_AGAIN.saturating_sub(began.elapsed());
            if well || timeout(pause, sight.closed()).await.is_ok() {
                return;
            }
        }
    }

    async fn act(&self, name: &'static str, bound: Duration, interval: Duration) -> Action {
        // Where resource-agents' tmpfiles.d has not made it.
        let _there = std::fs::create_dir_all(&self.scratch);
        let agent = self.root.join("resource.d").join(&self.ocf.provider).join(&self.ocf.agent);
        let words = [agent.display().to_string(), name.to_owned()];
        let program = Program {
            words: &words,
            environment: self.environment(bound, interval),
            input: None,
            timeout: bound,
            dies_unwatched: true,
            kept: KEPT,
        };
        let ended = program.run().await;
        Action { name, ended }
    }

    fn environment(&self, bound: Duration, interval: Duration) -> Vec<(String, String)> {
        let fixed = [
            ("OCF_ROOT", self.root.display().to_string()),
            ("OCF_RA_VERSION_MAJOR", "1".to_owned()),
            ("OCF_RA_VERSION_MINOR", "1".to_owned()),
            ("OCF_RESOURCE_INSTANCE", self.instance.clone()),
            ("OCF_RESOURCE_TYPE", self.ocf.agent.clone()),
            ("OCF_RESOURCE_PROVIDER", self.ocf.provider.clone()),
            ("OCF_CHECK_LEVEL", "0".to_owned()),
            ("OCF_EXIT_REASON_PREFIX", REASON.to_owned()),
            ("HA_RSCTMP", self.scratch.display().to_string()),
            // Milliseconds, as Pacemaker has them; an interval of zero is a probe (ocf_is_probe).
            ("OCF_RESKEY_CRM_meta_timeout", bound.as_millis().to_string()),
            ("OCF_RESKEY_CRM_meta_interval", interval.as_millis().to_string()),
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
        let own = self.ocf.parameters.iter();
        fixed.chain(own.map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.clone()))).collect()
    }

    /// How an action ended: "ocf:heartbeat:Dummy monitor: not installed (exit code 5): setup problem".
    fn text(&self, action: &Action) -> String {
        let Ocf { provider, agent, .. } = &self.ocf;
        format!("ocf:{provider}:{agent} {}: {}", action.name, action.text())
    }
}

impl Action {
    /// What a monitor says.
    fn state(&self) -> State {
        match (&self.ended.how, self.ended.code) {
            (How::Well, _) | (How::Badly(_), Some(8)) => State::Runs { degraded: None },
            (How::Badly(_), Some(190 | 191)) => State::Runs { degraded: Some(self.text()) },
            (How::Badly(_), Some(7)) => State::Stopped,
            (How::Badly(_), _) => State::Failed(self.text()),
            (How::TooLate(_) | How::NotStarted(_), _) => State::Unknown(self.text()),
        }
    }

    /// What may help against its failure, by its exit code.
    fn kind(&self) -> Seriousness {
        match self.ended.code {
            Some(2..=5) => Seriousness::Hard,
            Some(6) => Seriousness::Fatal,
            Some(_) | None => Seriousness::Soft,
        }
    }

    fn text(&self) -> String {
        let (code, word) = match (self.ended.code, &self.ended.how) {
            (Some(code), How::Badly(_)) => (code, code_word(code)),
            (_, How::Well | How::Badly(_) | How::TooLate(_) | How::NotStarted(_)) => {
                return self.ended.to_string();
            }
        };
        let said = match self.ended.said.lines().rev().find_map(|line| line.split_once(REASON)) {
            Some((_, reason)) => format!(": {}", reason.trim().escape_debug()),
            None => String::new(),
        };
        format!("{word} (exit code {code}){said}")
    }
}

/// The names of the codes in Pacemaker's own words.
fn code_word(code: i32) -> &'static str {
    match code {
        1 => "error",
        2 => "invalid parameter",
        3 => "unimplemented feature",
        4 => "insufficient privileges",
        5 => "not installed",
        6 => "not configured",
        7 => "not running",
        8 => "promoted",
        9 => "failed, promoted",
        190 => "degraded",
        191 => "degraded, promoted",
        _ => "an exit code that means nothing",
    }
}

#[cfg(test)]
mod tests;
