//! One fault on the stage, and what became of it.

use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::stage::{Move, NODES, Stage};
use crate::agent::clock;
use crate::cluster::Time;

/// What is done to the active node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP; SIGCONT once the other one serves.
    Freeze,
}

impl Fault {
    /// What is done, in a few words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Kill => "is killed (SIGKILL)",
            Self::Stop => "is stopped cleanly (SIGTERM)",
            Self::Freeze => "is frozen (SIGSTOP) and thawed (SIGCONT)",
        }
    }

    const fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Stop => Signal::TERM,
            Self::Freeze => Signal::STOP,
        }
    }
}

/// One takeover, in milliseconds since the fault.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Takeover {
    /// What was done.
    pub fault: Fault,
    /// To whom.
    pub from: &'static str,
    /// Who stepped in.
    pub to: &'static str,
    /// Whether everything that was expected happened.
    pub ok: bool,
    /// What did not.
    pub problems: Vec<String>,
    /// The other node knew that something was wrong: the active one was late, or offered the group.
    pub suspected_ms: Option<f64>,
    /// EC2 had moved the anchor.
    pub anchor_moved_ms: Option<f64>,
    /// EC2 had moved everything.
    pub everything_moved_ms: Option<f64>,
    /// The hook that stands for the service had run.
    pub hook_run_ms: Option<f64>,
    /// The thawed node had become standby, counted from the thaw.
    pub yielded_ms: Option<f64>,
    /// How much the thawed node changed in EC2.
    pub changed_after_thaw: usize,
    /// Whether the anchor was with nobody at any moment.
    pub anchor_with_nobody: bool,
    /// Who holds what in the end.
    pub holders: Vec<(String, String)>,
}

/// How long is waited for a takeover, beyond dead-after.
const PATIENCE: Duration = Duration::from_secs(20);

impl Takeover {
    /// Does it, and watches.
    ///
    /// # Errors
    /// The stage broke down: a signal could not be sent, a log not be read.
    pub async fn stage(
        stage: &mut Stage,
        fault: Fault,
        active: usize,
        dead_after: Duration,
    ) -> anyhow::Result<Self> {
        let standby = 1 - active;
        stage.forget_promotion(standby);
        let seq = stage.last_change();
        let start = clock::now();
        stage.signal(active, fault.signal())?;
        let hook = watch(stage, standby, start + dead_after + PATIENCE).await;
        let moved = stage.holds_everything(standby);
        let (thawed, before_thaw) = (clock::now(), stage.last_change());
        let mut yielded = None;
        if fault == Fault::Freeze {
            stage.signal(active, Signal::CONT)?;
            yielded = until_said(stage, active, &["role-changed"], thawed).await?;
        }
        let suspected = stage.said(standby, &["peer-late", "peer-silent", "offer-heard"], start)?;
        let moves = stage.moves_since(seq);
        let ms = |at: Time| at.since(start).as_secs_f64() * 1e3;
        let ours = |it: &&Move| it.to == Some(NODES[standby]);
        let mut takeover = Self {
            fault,
            from: NODES[active],
            to: NODES[standby],
            ok: true,
            problems: Vec::new(),
            suspected_ms: suspected.map(ms),
            anchor_moved_ms: moves.iter().filter(ours).find(|it| it.anchor).map(|it| ms(it.at)),
            everything_moved_ms: moves.iter().rfind(|it| ours(it)).map(|it| ms(it.at)).filter(|_| moved),
            hook_run_ms: hook.map(ms),
            changed_after_thaw: stage.moves_since(before_thaw).len(),
            yielded_ms: yielded.map(|at| at.since(thawed).as_secs_f64() * 1e3),
            anchor_with_nobody: moves.iter().any(|it| it.anchor && it.to.is_none()),
            holders: stage.holders(),
        };
        takeover.judge();
        Ok(takeover)
    }

    fn judge(&mut self) {
        let mut problem = |wrong: bool, what: &str| {
            if wrong {
                self.problems.push(what.to_owned());
            }
        };
        problem(self.anchor_moved_ms.is_none(), "the anchor did not move");
        problem(self.everything_moved_ms.is_none(), "not everything moved");
        problem(self.hook_run_ms.is_none(), "the promote hook did not run");
        problem(self.anchor_with_nobody, "the anchor was with nobody for a moment");
        problem(self.changed_after_thaw > 0, "the thawed node changed EC2");
        problem(
            self.fault == Fault::Freeze && self.yielded_ms.is_none(),
            "the thawed node did not become standby",
        );
        self.ok = self.problems.is_empty();
    }

    /// The timeline: milliseconds and sentences, in order.
    pub fn lines(&self) -> Vec<(f64, String)> {
        let suspected = match self.fault {
            Fault::Stop => format!("{} hears the offer", self.to),
            Fault::Kill | Fault::Freeze => format!("{} suspects it: late", self.to),
        };
        let mut lines: Vec<(f64, String)> = [
            (self.suspected_ms, suspected),
            (self.anchor_moved_ms, "the anchor has moved".to_owned()),
            (self.everything_moved_ms, "everything has moved".to_owned()),
            (self.hook_run_ms, "the service hook has run".to_owned()),
        ]
        .into_iter()
        .filter_map(|(at, text)| at.map(|at| (at, text)))
        .collect();
        lines.sort_by(|a, b| a.0.total_cmp(&b.0));
        lines.insert(0, (0.0, format!("{} {}", self.from, self.fault.sentence())));
        lines
    }
}

/// Waits until the hook has run and everything has moved; answers when the hook had run.
async fn watch(stage: &Stage, node: usize, deadline: Time) -> Option<Time> {
    let mut hook = None;
    loop {
        let now = clock::now();
        if hook.is_none() && stage.promoted(node) {
            hook = Some(now);
        }
        if now > deadline || (hook.is_some() && stage.holds_everything(node)) {
            return hook;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_said(stage: &Stage, node: usize, ids: &[&str], since: Time) -> anyhow::Result<Option<Time>> {
    let deadline = since + PATIENCE;
    loop {
        let said = stage.said(node, ids, since)?;
        if said.is_some() || clock::now() > deadline {
            return Ok(said);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
