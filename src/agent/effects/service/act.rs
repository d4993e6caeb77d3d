//! What is done with the service: start, stop, restart.

use std::time::Duration;

use tokio::time::sleep;

use super::keeper::Keeper;
use crate::agent::clock;
use crate::agent::trouble::Seriousness;
use crate::cluster::{ServiceFailure, Time};
use crate::config::Arbiter;
use crate::service::state::{Failure, Sight, State};

/// A stop that could not be confirmed is tried again after this.
const STOP_AGAIN: Duration = Duration::from_millis(250);
/// A look after a start or a stop ends within this, or what was seen last has to do.
const LOOK: Duration = Duration::from_secs(2);

impl Keeper<'_> {
    pub(super) async fn restart(&mut self) {
        self.forget_troubles();
        let cgroup = self.world.cgroup.borrow().clone();
        // Whether or not it can be confirmed: a start is what is wanted.
        if let Err(why) = self.supervised.stop(cgroup.as_ref(), self.service.stop_timeout).await {
            self.shell.errors.failed("service", "stop", &format!("{}: {why}", self.settings.name));
        }
        let _seen = self.look(true).await;
        self.start().await;
    }

    pub(super) async fn start(&mut self) {
        if self.settings.arbiter == Arbiter::Dynamodb {
            // Without a guard that has a deadline, nothing stops what is started here.
            let mut guarded = self.world.guarded.subscribe();
            let in_time = |until: &Option<_>| until.is_some_and(|until| clock::now() < until);
            drop(guarded.wait_for(in_time).await);
        }
        let began = clock::now();
        let result = self.supervised.start(self.service.start_timeout).await;
        let now = clock::now();
        let pause = self.pace.started(now);
        match &result {
            Ok(()) => self.has_started(now, now.since(began)),
            Err(failure) => self.did_not_start(failure, pause, now),
        }
        // What checks had to say was about the old process.
        self.starts_since = None;
        self.forget_troubles();
        // A death after a start that went well is one, however soon: also before whoever watches has seen it up.
        let Some(sight) = self.look(result.is_err()).await else { return };
        if result.is_ok() && sight.deaths == self.counted && sight.state.runs() == Some(false) {
            let why = match sight.state {
                State::Failed(why) => why,
                State::Stopped | State::Unknown(_) | State::Runs { .. } | State::Starts | State::Stops => {
                    "it has stopped".to_owned()
                }
            };
            self.failed_by(&Failure::soft(why), clock::now());
        }
    }

    /// Looks at it after something was done with it; then what has died by that was no death of its own. `None`:
    /// what was seen last is from before that.
    async fn look(&mut self, by_that: bool) -> Option<Sight> {
        let (sight, answered) = self.watched.look_again(LOOK).await;
        if by_that {
            self.counted = sight.deaths;
        }
        self.take_note(&sight, clock::now());
        answered.then_some(sight)
    }

    fn has_started(&mut self, now: Time, took: Duration) {
        let group = &self.settings.name;
        tracing::info!(id = "service-started", group, "{} has started, in {took:?}", self.name);
        self.shell.errors.worked("service");
        self.fatal = None;
        self.ran = true;
        self.world.does("restarted");
        // Checks give it time from here.
        self.world.runs_since.send_replace(Some(now));
    }

    fn did_not_start(&mut self, failure: &Failure, pause: Duration, now: Time) {
        self.shell.errors.failed("service", "start", &format!("{}: {failure}", self.settings.name));
        let again = format!("tried again {} later", humantime::format_duration(pause));
        if failure.unknown {
            // Nobody can say that it does not run, or that it would not.
            return self.world.ails(&failure.why, &again, now);
        }
        match failure.kind {
            Seriousness::Soft | Seriousness::Hard => {
                self.failed(&failure.why, ServiceFailure::Start, now);
                self.world.does(&again);
            }
            Seriousness::Fatal => self.fatally(&failure.why, &failure.why, now),
        }
    }

    /// Until it has stopped: an unconfirmed stop is none.
    pub(super) async fn stop(&mut self) {
        loop {
            let began = clock::now();
            let cgroup = self.world.cgroup.borrow().clone();
            let Err(why) = self.supervised.stop(cgroup.as_ref(), self.service.stop_timeout).await else {
                let took = clock::now().since(began);
                let (name, group) = (&self.name, &self.settings.name);
                tracing::info!(id = "service-stopped", group, "{name} has stopped, in {took:?}");
                self.shell.errors.worked("service");
                self.world.is_well();
                break;
            };
            self.shell.errors.failed("service", "stop", &format!("{}: {why}", self.settings.name));
            let again = format!("tried again {} later", humantime::format_duration(STOP_AGAIN));
            self.world.ails(&why, &again, clock::now());
            sleep(STOP_AGAIN).await;
        }
        let _seen = self.look(true).await;
    }
}
