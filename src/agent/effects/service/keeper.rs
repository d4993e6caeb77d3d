//! Looks at the service and decides, from its state and the wish alone, what is to be done with it. Counting, and
//! whether the group moves, is the core's.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::pace::Pace;
use crate::agent::clock;
use crate::agent::effects::hooks::{self, addresses};
use crate::agent::shell::{Shell, World};
use crate::agent::trouble::Trouble;
use crate::cluster::{GroupId, ServiceFailure, Time};
use crate::config::{Group, HookWhen, Service, Standby};
use crate::service::state::{Failure, State};
use crate::service::supervised::{Supervised, Watched};

/// Keeps one group's service.
pub(super) struct Keeper<'a> {
    pub(super) shell: &'a Shell,
    pub(super) group: GroupId,
    pub(super) settings: &'a Group,
    pub(super) world: &'a World,
    pub(super) service: &'a Service,
    pub(super) name: String,
    pub(super) supervised: Supervised,
    pub(super) watched: Watched,
    pub(super) guest: watch::Receiver<u64>,
    /// The hooks that run before it.
    pub(super) before: watch::Receiver<u64>,
    pub(super) maintenance: watch::Receiver<bool>,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) troubles: Option<mpsc::UnboundedReceiver<Trouble>>,
    pub(super) serves: Option<bool>,
    /// What was wanted last was done to its end.
    pub(super) converged: bool,
    pub(super) pace: Pace,
    /// So many of its deaths have been dealt with.
    pub(super) counted: u64,
    /// Whether it ran when that was last known.
    pub(super) ran: bool,
    /// It is on its way up since.
    pub(super) starts_since: Option<Time>,
    /// Somebody else stops it since.
    pub(super) stops_since: Option<Time>,
    /// A check wants it restarted.
    pub(super) restart: bool,
    /// Its last start failed in a way that no node can mend.
    pub(super) fatal: Option<String>,
    pub(super) told_able: Option<Result<(), String>>,
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
        [guest, before]: [watch::Receiver<u64>; 2],
    ) -> Option<Self> {
        let service = settings.service.as_ref()?;
        let supervised = Supervised::of(service, &settings.name);
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
            before,
            maintenance: world.maintenance.subscribe(),
            draining: world.draining.subscribe(),
            troubles: world.troubles.take(),
            serves: None,
            converged: true,
            pace: Pace::default(),
            counted: 0,
            ran: false,
            starts_since: None,
            stops_since: None,
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
        if news {
            self.forget_troubles();
        }
        match serves {
            Some(true) if news => {
                self.pace = Pace::default();
                self.world.is_well();
                addresses(&mut self.guest, change).await;
                self.hooks_before(true, change).await;
                self.start().await;
            }
            Some(false) if news && self.service.standby == Standby::Cold => {
                self.hooks_before(false, change).await;
                self.stop().await;
            }
            Some(_) | None => {}
        }
        self.converged = true;
    }

    /// Waits for the hooks that run first; where it has to stop, no longer than their own timeouts.
    async fn hooks_before(&mut self, serves: bool, change: u64) {
        let hooks: Vec<Duration> =
            hooks::of(self.settings, serves, HookWhen::Before).map(|hook| hook.timeout).collect();
        if hooks.is_empty() {
            return;
        }
        let reached = self.before.wait_for(|reached| *reached >= change);
        if serves {
            drop(reached.await);
        } else {
            drop(timeout(hooks.iter().sum(), reached).await);
        }
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
        if died || matches!(sight.state, State::Starts) || *self.maintenance.borrow() {
            // What checks had to say was about the old process, or is the operator's business.
            self.forget_troubles();
        }
        if died {
            self.pace.is_down();
            self.world.runs_since.send_replace(None);
        }
        if died && should_run != Some(false) && !drains {
            self.failed_by(&sight.death, now);
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
        self.stops_since = self.stops_since.filter(|_| matches!(state, State::Stops));
        match state {
            State::Runs { .. } | State::Unknown(_) | State::Stops if self.restart => {
                self.when_due(Act::Restart, now)
            }
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
            // Its main process has died and others do not end, say: systemd's own patience is a minute and a half.
            State::Stops => {
                let since = *self.stops_since.get_or_insert(now);
                let left = (since + self.service.stop_timeout).since(now);
                if !left.is_zero() {
                    self.world.does("it is being stopped, not by this agent");
                    return Act::Wait(Some(left));
                }
                let bound = humantime::format_duration(self.service.stop_timeout);
                self.failed_by(
                    &Failure::soft(format!("it should run, and has not stopped within {bound}")),
                    now,
                );
                Act::Restart
            }
            State::Unknown(_) => Act::Wait(None),
            // What is no unit may run and not work: only a stop makes sure that a start starts it.
            State::Failed(_) if self.service.unit().is_none() => {
                self.pace.is_down();
                self.when_due(Act::Restart, now)
            }
            State::Stopped | State::Failed(_) => {
                self.pace.is_down();
                self.when_due(Act::Start, now)
            }
        }
    }

    /// What checks have said so far is not about what runs now.
    pub(super) fn forget_troubles(&mut self) {
        self.restart = false;
        while self.troubles.as_mut().is_some_and(|it| it.try_recv().is_ok()) {}
    }

    fn when_due(&self, act: Act, now: Time) -> Act {
        let wait = self.pace.wait(now);
        if wait.is_zero() { act } else { Act::Wait(Some(wait)) }
    }

    /// A check has something against it. What comes while a restart is due already is about the same.
    fn troubled(&mut self, trouble: &Trouble) {
        let starts = matches!(self.watched.sight.borrow().state, State::Starts);
        if self.restart || !self.ran || starts || self.should_run() != Some(true) {
            return;
        }
        self.restart = true;
        self.failed_by(&Failure::of(&trouble.what, trouble.kind), clock::now());
    }
}
