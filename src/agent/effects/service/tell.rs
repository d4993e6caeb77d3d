//! What others are told of the service: the core, the guard, the checks, the operator.

use super::keeper::Keeper;
use crate::agent::shell::Need;
use crate::cluster::{Event, ServiceFailure, Time};
use crate::config::Standby;
use crate::service::state::{Failure, Seriousness, Sight, State};

impl Keeper<'_> {
    /// What others want to know of it.
    pub(super) fn take_note(&mut self, sight: &Sight, now: Time) {
        let (unknown, degraded) = match &sight.state {
            State::Unknown(why) => (Some(format!("{why}; nothing is done before it is known")), None),
            State::Runs { degraded } => (None, degraded.clone()),
            State::Starts | State::Stops | State::Stopped | State::Failed(_) => (None, None),
        };
        let name = &self.name;
        let mut seen = self.world.seen();
        seen.note("the service's state is unknown", unknown);
        seen.note("the service is not fit for this node", sight.unfit.clone());
        seen.note("the service is degraded", degraded.map(|why| format!("{name}: {why}")));
        drop(seen);
        if let Some(runs) = sight.state.runs() {
            self.ran = runs;
            self.world.runs_since.send_if_modified(|since| {
                let news = since.is_some() != runs;
                *since = runs.then(|| since.unwrap_or(now));
                news
            });
        }
        if let Some(shown) = &sight.unit {
            // Then it runs before anybody is active, and before the guard has heard of it.
            let at_boot = shown.at_boot && self.service.standby == Standby::Cold;
            let remedy = format!(
                "systemd starts {name} whether this node is active or not: `systemctl disable {name}`"
            );
            self.world.seen().note("at boot", at_boot.then_some(remedy));
            let news = self.world.cgroup.send_if_modified(|known| {
                let before = known.replace(shown.cgroup.clone());
                before.as_ref() != Some(&shown.cgroup)
            });
            if news {
                self.shell.guard_asked.notify_one();
            }
        }
        self.tell_able(sight);
    }

    /// Whether this node could take the group, as far as the service goes. It says nothing about who is active.
    fn tell_able(&mut self, sight: &Sight) {
        if self.serves == Some(true) {
            return;
        }
        let able = match (&sight.state, self.service.standby) {
            _ if sight.unfit.is_some() => Err(sight.unfit.clone().unwrap_or_default()),
            _ if self.fatal.is_some() => Err(self.fatal.clone().unwrap_or_default()),
            (State::Failed(why) | State::Unknown(why), _)
                if self.service.unit().is_some() && sight.unit.is_none() =>
            {
                Err(why.clone())
            }
            // It says nothing new.
            (State::Unknown(_), _) => return,
            // Nobody knows what it left behind, where nothing can be killed for certain.
            (State::Failed(why), Standby::Cold) if self.service.unit().is_none() => {
                Err(format!("{} is failed ({why})", self.name))
            }
            (State::Runs { .. }, _) | (_, Standby::Cold) => Ok(()),
            (State::Failed(why), Standby::Warm) => Err(format!("{} is failed ({why})", self.name)),
            (State::Stopped, Standby::Warm) => Err(format!("{} is stopped", self.name)),
            (State::Starts, Standby::Warm) => Err(format!("{} is starting", self.name)),
            (State::Stops, Standby::Warm) => Err(format!("{} is being stopped", self.name)),
        };
        if self.told_able.as_ref() != Some(&able) {
            self.shell.able(self.group, Need::Service, able.clone());
            self.told_able = Some(able);
        }
    }

    /// It ran, and has failed: what that means depends on what may help.
    pub(super) fn failed_by(&mut self, failure: &Failure, now: Time) {
        let what = format!("{} failed ({})", self.name, failure.why);
        match failure.kind {
            Seriousness::Soft => self.failed(&what, ServiceFailure::Running, now),
            // It bars at once, as a start that fails does: here it will not work.
            Seriousness::Hard => self.failed(&what, ServiceFailure::Start, now),
            Seriousness::Fatal => self.fatally(&failure.why, &what, now),
        }
    }

    /// It has failed: the core counts.
    pub(super) fn failed(&mut self, what: &str, how: ServiceFailure, now: Time) {
        tracing::warn!(id = "service-died", group = self.settings.name, "{what}");
        self.world.ails(what, "being restarted", now);
        self.shell.heart.event(Event::ServiceFailed { group: self.group, how });
    }

    /// What fails here would fail everywhere: the core is not told, so that the group does not move for it.
    pub(super) fn fatally(&mut self, why: &str, what: &str, now: Time) {
        tracing::error!(
            id = "service-fatal",
            group = self.settings.name,
            "{what}: it would fail on every node"
        );
        self.fatal = Some(format!("it would fail here too: {why}"));
        self.world.ails(what, "the group is not moved for it: it would fail on every node", now);
    }
}
