//! The checks of a group: each runs at its own pace, for as long as the agent does, where its `when` wants it. What
//! they find goes to the service's task (trouble), to the core (fit, able), and to `status`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::checks::told;
use crate::agent::clock;
use crate::agent::shell::{Need, Shell, Wanted, World};
use crate::agent::trouble::{Seriousness, Trouble};
use crate::cluster::{Event, GroupId, Time};
use crate::config::{Check, Group, OnFail, Standby};
use crate::service::check::verdict::{State, Verdict};
use crate::service::check::{Checker, Outcome};
use crate::service::hooks::About;

/// Checks begin at a random moment within this (or within `every`), so that they do not all run at once.
const SPREAD: Duration = Duration::from_secs(1);

/// Starts the checks of a group.
pub(super) fn start(shell: &Arc<Shell>, group: GroupId) {
    let Some((settings, _)) = shell.group(group) else { return };
    for place in 0..settings.checks.len() {
        tokio::spawn(keep(Arc::clone(shell), group, place));
    }
}

/// One check, while it runs.
struct Run<'a> {
    shell: &'a Shell,
    group: GroupId,
    settings: &'a Group,
    world: &'a World,
    check: &'a Check,
    place: usize,
    wanted: watch::Receiver<Wanted>,
    runs_since: watch::Receiver<Option<Time>>,
    /// The role that it last ran in.
    served: Option<bool>,
    grace_until: Option<Time>,
}

/// Runs one check for as long as the agent runs.
async fn keep(shell: Arc<Shell>, group: GroupId, place: usize) {
    let Some((settings, world)) = shell.group(group) else { return };
    let Some(check) = settings.checks.get(place) else { return };
    let about = About {
        cluster: shell.names.cluster.clone(),
        group: settings.name.clone(),
        node: shell.names.node(shell.me).to_owned(),
    };
    let mut checker = Checker::new(check.clone(), about, settings.asterisk.clone());
    let mut run = Run {
        shell: &shell,
        group,
        settings,
        world,
        check,
        place,
        wanted: world.wanted.subscribe(),
        runs_since: world.runs_since.subscribe(),
        served: None,
        grace_until: None,
    };
    run.role();
    if !run.pause(clock::now() + spread(check.every), &mut checker).await {
        return;
    }
    loop {
        run.role();
        let started = clock::now();
        let next = if check.when.includes(run.serves()) {
            let outcome = checker.ask().await;
            run.ran(outcome, started);
            Some(started + check.every)
        } else {
            // What is remembered is forgotten once.
            let left = world.checks.found().all.get(place).and_then(|it| it.verdict.remembered(started));
            left.map(|left| started + left)
        };
        let goes_on = match next {
            Some(next) => run.pause(next, &mut checker).await,
            None => run.wanted.changed().await.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

fn spread(every: Duration) -> Duration {
    let part = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    every.min(SPREAD).mul_f64(part)
}

/// What is left of a result if this node did not run meanwhile: the other end may have answered in time.
fn asleep(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(text) => Outcome::Unknown(format!("this node stood still meanwhile ({text})")),
        Outcome::Ok | Outcome::Degraded(_) | Outcome::Unknown(_) => outcome,
    }
}

impl Run<'_> {
    /// Before the first wish, a node is a standby.
    fn serves(&self) -> bool {
        self.wanted.borrow().serves() == Some(true)
    }

    /// Acts on a change of role, if there was one.
    fn role(&mut self) {
        let serves = self.wanted.borrow_and_update().serves() == Some(true);
        if self.served == Some(serves) {
            // Time may have passed that was to pass.
            return self.update(|_| {});
        }
        let ran = self.served.is_some_and(|served| self.check.when.includes(served));
        let runs = self.check.when.includes(serves);
        self.served = Some(serves);
        let cold = self.settings.service.as_ref().is_some_and(|it| it.standby == Standby::Cold);
        // A cold service is only now being started.
        let grace = serves && cold && self.is_about_the_service();
        self.grace_until = None;
        let now = clock::now();
        self.update(|verdict| match (ran, runs) {
            (true, true) => verdict.role_changed(),
            (false, true) => verdict.speaks_up(),
            (_, false) => verdict.falls_quiet(now),
        });
        if grace && runs {
            self.grace();
        }
    }

    fn is_about_the_service(&self) -> bool {
        self.check.on_fail == OnFail::Restart
    }

    fn grace(&mut self) {
        let length = self.settings.service.as_ref().map_or(Duration::ZERO, |it| it.start_timeout);
        self.grace_until = Some(clock::now() + length);
        self.update(Verdict::grace_begins);
    }

    /// Waits for the next run, or for another role; answers whether it goes on at all.
    async fn pause(&mut self, next: Time, checker: &mut Checker) -> bool {
        loop {
            let left = next.since(clock::now());
            if left.is_zero() {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => return true,
                () = checker.news() => return true,
                changed = self.wanted.changed() => match changed {
                    Ok(()) if self.served == Some(self.serves()) => {}
                    Ok(()) => return true,
                    Err(_) => return false,
                },
                changed = self.runs_since.changed() => match changed {
                    Ok(()) => self.service_started(),
                    Err(_) => return false,
                },
            }
        }
    }

    fn service_started(&mut self) {
        let runs = self.runs_since.borrow_and_update().is_some();
        if runs && self.is_about_the_service() && self.check.when.includes(self.serves()) {
            self.grace();
        }
    }

    /// One run has ended.
    fn ran(&mut self, outcome: Outcome, started: Time) {
        let now = clock::now();
        let took = now.since(started);
        if self.served != Some(self.serves()) {
            return;
        }
        if self.runs_since.has_changed().unwrap_or(false) {
            // What it asked was the old process, perhaps.
            return self.service_started();
        }
        if self.grace_until.is_some_and(|until| now >= until) {
            self.grace_until = None;
            self.update(Verdict::grace_ends);
        }
        let stood_still = took > self.check.timeout + self.shell.unnoticed() || !self.shell.is_awake();
        let outcome = if stood_still { asleep(outcome) } else { outcome };
        if let Some(it) = self.world.checks.found().all.get_mut(self.place) {
            it.ran = Some((now, took));
        }
        let mut trouble = false;
        self.update(|verdict| trouble = verdict.heard(&outcome));
        if trouble && self.is_about_the_service() {
            let what = format!("check {}: {}", self.check.name, self.words());
            self.world.troubles.tell(Trouble { what, kind: Seriousness::Soft });
        }
    }

    fn words(&self) -> String {
        self.world.checks.found().all.get(self.place).map_or_else(String::new, |it| it.words())
    }

    /// Changes the verdict, and tells what has become of it.
    fn update(&self, change: impl FnOnce(&mut Verdict)) {
        let now = clock::now();
        let mut found = self.world.checks.found();
        let Some(it) = found.all.get_mut(self.place) else { return };
        change(&mut it.verdict);
        if let Some(before) = it.changed(now) {
            self.log(before, it.shown, &it.words());
        }
        let told = told(&self.settings.checks, &found.all, self.serves(), now);
        let before = std::mem::replace(&mut found.told, told.clone());
        // Still held, so that the core hears of changes in their order.
        if told.fit != before.fit {
            self.shell.heart.event(Event::ServiceChanged { group: self.group, fit: told.fit });
        }
        if told.able != before.able {
            self.shell.able(self.group, Need::Checks, told.able);
        }
    }

    fn log(&self, before: State, state: State, words: &str) {
        let (group, name, kind) = (&self.settings.name, &self.check.name, self.check.kind.word());
        match state {
            State::Failed => {
                let on_fail = self.check.on_fail.word();
                tracing::warn!(id = "check-failed", group, kind, on_fail, "check {name}: {words}");
            }
            State::Degraded => tracing::warn!(id = "check-degraded", group, kind, "check {name}: {words}"),
            State::Unknown => {
                tracing::warn!(id = "check-unknown", group, kind, "check {name} cannot be made: {words}");
            }
            State::Ok => {
                tracing::info!(id = "check-ok", group, kind, "check {name}: ok; it was: {}", before.word());
            }
            State::NotYet | State::NotNow => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_was_seen_by_a_node_that_stood_still_says_nothing() {
        let asleep_failed = asleep(Outcome::Failed("no answer within 1s".into()));
        let said = "this node stood still meanwhile (no answer within 1s)";
        assert_eq!(asleep_failed, Outcome::Unknown(said.into()));
        assert_eq!(asleep(Outcome::Ok), Outcome::Ok, "an answer is one all the same");
    }
}
