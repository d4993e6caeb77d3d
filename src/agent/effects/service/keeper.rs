//! Looks at the service and decides, from its state and the wish alone, what is to be done with it. Counting, and
//! whether the group moves, is the core's.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::pace::Pace;
use crate::agent::clock;
use crate::agent::effects::hooks::addresses;
use crate::agent::shell::{Need, Shell, World};
use crate::agent::trouble::{Seriousness, Trouble};
use crate::cluster::{Event, GroupId, ServiceFailure, Time};
use crate::config::{Arbiter, Group, Service, Standby};
use crate::service::state::{Failure, Sight, State};
use crate::service::supervised::{Supervised, Watched};

/// A stop that could not be confirmed is tried again after this.
const STOP_AGAIN: Duration = Duration::from_millis(250);
/// A look after a start or a stop ends within this, or what was seen last has to do.
const LOOK: Duration = Duration::from_secs(2);

/// Keeps one group's service.
pub(super) struct Keeper<'a> {
    shell: &'a Shell,
    group: GroupId,
    settings: &'a Group,
    world: &'a World,
    service: &'a Service,
    name: String,
    supervised: Supervised,
    watched: Watched,
    guest: watch::Receiver<u64>,
    maintenance: watch::Receiver<bool>,
    draining: watch::Receiver<bool>,
    troubles: Option<mpsc::UnboundedReceiver<Trouble>>,
    serves: Option<bool>,
    /// What was wanted last was done to its end.
    converged: bool,
    pace: Pace,
    /// So many of its deaths have been dealt with.
    counted: u64,
    /// Whether it ran when that was last known.
    ran: bool,
    /// It is on its way up since.
    starts_since: Option<Time>,
    /// A check wants it restarted.
    restart: bool,
    /// Its last start failed in a way that no node can mend.
    fatal: Option<String>,
    told_able: Option<Result<(), String>>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    Start,
    Restart,
    Stop,
    /// Nothing, until something changes or this is over.
    Wait(Option<Duration>),
}

impl<'a> Keeper<'a> {
    /// `None`: the group has no service.
    pub(super) fn new(
        shell: &'a Shell,
        group: GroupId,
        settings: &'a Group,
        world: &'a World,
        guest: watch::Receiver<u64>,
    ) -> Option<Self> {
        let service = settings.service.as_ref()?;
        let supervised = Supervised::of(service)?;
        Some(Self {
            shell,
            group,
            settings,
            world,
            service,
            name: service.name(),
            watched: supervised.watch(),
            supervised,
            guest,
            maintenance: world.maintenance.subscribe(),
            draining: world.draining.subscribe(),
            troubles: world.troubles.take(),
            serves: None,
            converged: true,
            pace: Pace::default(),
            counted: 0,
            ran: false,
            starts_since: None,
            restart: false,
            fatal: None,
            told_able: None,
        })
    }

    /// Does at once what this wish wants, if that is not done.
    pub(super) async fn converge(&mut self, serves: Option<bool>, change: u64) {
        let news = self.serves != serves || !self.converged;
        self.serves = serves;
        self.converged = false;
        match serves {
            Some(true) if news => {
                self.pace = Pace::default();
                self.world.is_well();
                addresses(&mut self.guest, change).await;
                self.start().await;
            }
            Some(false) if news && self.service.standby == Standby::Cold => self.stop().await,
            Some(_) | None => {}
        }
        self.converged = true;
    }

    /// Keeps it so. Does not end.
    pub(super) async fn supervise(&mut self) {
        loop {
            match self.judge(clock::now()) {
                Act::Start => self.start().await,
                Act::Restart => self.restart().await,
                Act::Stop => {
                    let name = &self.settings.name;
                    tracing::warn!(
                        id = "service-stray",
                        group = name,
                        "{} runs where it should not",
                        self.name
                    );
                    self.stop().await;
                }
                Act::Wait(time) => self.wait(time).await,
            }
        }
    }

    async fn wait(&mut self, time: Option<Duration>) {
        let over = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let troubled = async {
            match &mut self.troubles {
                Some(troubles) => troubles.recv().await,
                None => std::future::pending().await,
            }
        };
        let trouble = tokio::select! {
            // Only an agent that ends has nobody who watches.
            seen = self.watched.sight.changed() => if seen.is_err() {
                return std::future::pending().await;
            } else {
                None
            },
            _changed = self.maintenance.changed() => None,
            _changed = self.draining.changed() => None,
            trouble = troubled => trouble,
            () = over => None,
        };
        if let Some(trouble) = trouble {
            self.troubled(&trouble);
        }
    }

    /// Whether it should run; `None`: nothing is to be done with it.
    fn should_run(&self) -> Option<bool> {
        match (self.serves?, self.service.standby) {
            _ if *self.maintenance.borrow() => None,
            // It ends by itself with its last call.
            _ if *self.draining.borrow() => None,
            (true, _) | (false, Standby::Warm) => Some(true),
            (false, Standby::Cold) => Some(false),
        }
    }

    /// What is to be done, by what is seen.
    fn judge(&mut self, now: Time) -> Act {
        let sight = self.watched.sight.borrow_and_update().clone();
        self.maintenance.borrow_and_update();
        let drains = *self.draining.borrow_and_update();
        self.take_note(&sight, now);
        let died = sight.deaths > self.counted;
        self.counted = sight.deaths;
        let should_run = self.should_run();
        if died {
            self.pace.is_down();
            self.world.runs_since.send_replace(None);
        }
        if died && should_run != Some(false) && !drains {
            self.failed(&format!("{} failed ({})", self.name, sight.death), ServiceFailure::Running, now);
        }
        match should_run {
            None => {
                if *self.maintenance.borrow() {
                    self.world.does("nothing is done: maintenance is on");
                }
                Act::Wait(None)
            }
            Some(false) => match sight.state {
                State::Runs { .. } | State::Starts => {
                    self.world.ails(
                        &format!("{} runs, and this node is standby", self.name),
                        "being stopped",
                        now,
                    );
                    Act::Stop
                }
                State::Stopped | State::Failed(_) => {
                    self.world.is_well();
                    Act::Wait(None)
                }
                State::Stops | State::Unknown(_) => Act::Wait(None),
            },
            Some(true) => self.judge_running(&sight.state, now),
        }
    }

    fn judge_running(&mut self, state: &State, now: Time) -> Act {
        let was_starting = self.starts_since.filter(|_| matches!(state, State::Starts));
        let came_up = self.starts_since.is_some() && was_starting.is_none();
        self.starts_since = was_starting;
        match state {
            State::Runs { .. } | State::Unknown(_) if self.restart => self.when_due(Act::Restart, now),
            State::Runs { .. } => {
                if came_up {
                    self.world.does("it runs again");
                }
                let healthy_in = self.pace.runs(now);
                if healthy_in.is_none() {
                    self.world.is_well();
                }
                Act::Wait(healthy_in)
            }
            // systemd, or an operator, is faster.
            State::Starts => {
                let since = *self.starts_since.get_or_insert(now);
                let left = (since + self.service.start_timeout).since(now);
                if !left.is_zero() {
                    self.world.does("it is being started, not by this agent");
                    return Act::Wait(Some(left));
                }
                let bound = humantime::format_duration(self.service.start_timeout);
                self.failed(
                    &format!("{} did not start within {bound}", self.name),
                    ServiceFailure::Start,
                    now,
                );
                Act::Restart
            }
            State::Stops | State::Unknown(_) => Act::Wait(None),
            State::Stopped | State::Failed(_) => {
                self.pace.is_down();
                self.when_due(Act::Start, now)
            }
        }
    }

    fn when_due(&self, act: Act, now: Time) -> Act {
        let wait = self.pace.wait(now);
        if wait.is_zero() { act } else { Act::Wait(Some(wait)) }
    }

    /// What others want to know of it.
    fn take_note(&mut self, sight: &Sight, now: Time) {
        let (unknown, degraded) = match &sight.state {
            State::Unknown(why) => (Some(format!("{why}; nothing is done before it is known")), None),
            State::Runs { degraded } => (None, degraded.clone()),
            State::Starts | State::Stops | State::Stopped | State::Failed(_) => (None, None),
        };
        let name = &self.name;
        let mut seen = self.world.seen();
        seen.note("the service's state is unknown", unknown);
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
            _ if self.fatal.is_some() => Err(self.fatal.clone().unwrap_or_default()),
            (State::Failed(why) | State::Unknown(why), _)
                if self.service.unit().is_some() && sight.unit.is_none() =>
            {
                Err(why.clone())
            }
            // It says nothing new.
            (State::Unknown(_), _) => return,
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

    /// It has failed: the core counts.
    fn failed(&mut self, what: &str, how: ServiceFailure, now: Time) {
        tracing::warn!(id = "service-died", group = self.settings.name, "{what}");
        self.world.ails(what, "being restarted", now);
        self.shell.heart.event(Event::ServiceFailed { group: self.group, how });
    }

    /// A check has something against it. What comes while a restart is due already is about the same.
    fn troubled(&mut self, trouble: &Trouble) {
        if self.restart || !self.ran || self.should_run() != Some(true) {
            return;
        }
        self.restart = true;
        let (what, now) = (format!("{} failed ({})", self.name, trouble.what), clock::now());
        match trouble.kind {
            Seriousness::Soft => self.failed(&what, ServiceFailure::Running, now),
            Seriousness::Hard => self.failed(&what, ServiceFailure::Start, now),
            Seriousness::Fatal => self.fatally(&trouble.what, &what, now),
        }
    }

    /// What fails here would fail everywhere: the core is not told, so that the group does not move for it.
    fn fatally(&mut self, why: &str, what: &str, now: Time) {
        tracing::error!(
            id = "service-fatal",
            group = self.settings.name,
            "{what}: it would fail on every node"
        );
        self.fatal = Some(format!("it would fail here too: {why}"));
        self.world.ails(what, "the group is not moved for it: it would fail on every node", now);
    }

    async fn restart(&mut self) {
        let cgroup = self.world.cgroup.borrow().clone();
        // Whether or not it can be confirmed: a start is what is wanted.
        if let Err(why) = self.supervised.stop(cgroup.as_ref(), self.service.stop_timeout).await {
            self.shell.errors.failed("service", "stop", &format!("{}: {why}", self.settings.name));
        }
        self.start().await;
    }

    async fn start(&mut self) {
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
        match result {
            Ok(()) => self.has_started(now, now.since(began)),
            Err(failure) => self.did_not_start(&failure, pause, now),
        }
        // What it went through meanwhile is no death of its own, and what checks had to say was about the old process.
        self.starts_since = None;
        self.restart = false;
        while self.troubles.as_mut().is_some_and(|it| it.try_recv().is_ok()) {}
        let sight = self.watched.look_again(LOOK).await;
        self.counted = sight.deaths;
        self.take_note(&sight, now);
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
        if failure.unknown && self.ran {
            // Nobody can say that it does not run.
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
    async fn stop(&mut self) {
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
        let sight = self.watched.look_again(LOOK).await;
        self.counted = sight.deaths;
        self.take_note(&sight, clock::now());
    }
}
