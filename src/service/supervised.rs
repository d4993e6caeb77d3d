//! A group's service, whatever it is: started, stopped and watched in one way.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::cgroup::Cgroup;
use super::command::CommandService;
use super::ocf::OcfService;
use super::state::{Failure, Sight};
use super::systemd::{self, Unit};
use crate::config::{Run, Service};

/// A group's service.
#[derive(Clone, Debug)]
pub enum Supervised {
    /// A unit of systemd's.
    Unit(Unit),
    /// Programs of the operator's.
    Commands(CommandService),
    /// An OCF resource agent.
    Ocf(OcfService),
}

/// What is seen of a service.
#[derive(Debug)]
pub struct Watched {
    /// The latest look.
    pub sight: watch::Receiver<Sight>,
    asked: watch::Sender<u64>,
}

impl Supervised {
    /// The service of the group of this name.
    pub fn of(service: &Service, group: &str) -> Self {
        match &service.run {
            Run::Unit(name) => Self::Unit(Unit::new(name)),
            Run::Commands(commands) => Self::Commands(CommandService::new(commands, service.status_every)),
            Run::Ocf(ocf) => Self::Ocf(OcfService::new(ocf, group, service.status_every)),
        }
    }

    /// Starts it, and waits until it has started. One that runs stays as it is.
    ///
    /// # Errors
    /// It did not start within `bound`.
    pub async fn start(&self, bound: Duration) -> Result<(), Failure> {
        match self {
            Self::Unit(unit) => unit.start(bound).await,
            Self::Commands(commands) => commands.start(bound).await,
            Self::Ocf(agent) => agent.start(bound).await,
        }
    }

    /// Stops it: what has not stopped within `bound` is killed, a unit with its cgroup, a program with its process
    /// group.
    ///
    /// # Errors
    /// Something of it may still run: why.
    pub async fn stop(&self, cgroup: Option<&Cgroup>, bound: Duration) -> Result<(), String> {
        match self {
            Self::Unit(unit) => unit.stop(cgroup, bound).await.map_err(|error| error.to_string()),
            Self::Commands(commands) => commands.stop(bound).await,
            Self::Ocf(agent) => agent.stop(bound).await,
        }
    }

    /// Watches it for as long as somebody reads what is seen.
    pub fn watch(&self) -> Watched {
        let (seen, sight) = watch::channel(Sight::default());
        let (asked, requests) = watch::channel(0);
        match self {
            Self::Unit(unit) => drop(tokio::spawn(systemd::watch(unit.clone(), seen, requests))),
            Self::Commands(commands) => drop(tokio::spawn(commands.clone().watch(seen, requests))),
            Self::Ocf(agent) => drop(tokio::spawn(agent.clone().watch(seen, requests))),
        }
        Watched { sight, asked }
    }
}

impl Watched {
    /// What is seen by a look that begins now, and `true`; after `bound`, what was seen last, and `false`.
    pub async fn look_again(&mut self, bound: Duration) -> (Sight, bool) {
        let request = *self.asked.borrow() + 1;
        self.asked.send_replace(request);
        let answered = self.sight.wait_for(|sight| sight.answers >= request);
        let in_time = matches!(timeout(bound, answered).await, Ok(Ok(_)));
        (self.sight.borrow().clone(), in_time)
    }
}
