//! A group's service, whatever it is: started, stopped and watched in one way.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::cgroup::Cgroup;
use super::state::{Failure, Sight};
use super::systemd::{self, Unit};
use crate::config::{Run, Service};

/// A group's service.
#[derive(Clone, Debug)]
pub enum Supervised {
    /// A unit of systemd's.
    Unit(Unit),
}

/// What is seen of a service.
#[derive(Debug)]
pub struct Watched {
    /// The latest look.
    pub sight: watch::Receiver<Sight>,
    asked: watch::Sender<u64>,
}

impl Supervised {
    /// The service of a group.
    pub fn of(service: &Service) -> Option<Self> {
        match &service.run {
            Run::Unit(name) => Some(Self::Unit(Unit::new(name))),
            Run::Commands(_) | Run::Ocf(_) => None,
        }
    }

    /// Starts it, and waits until it has started. One that runs stays as it is.
    ///
    /// # Errors
    /// It did not start within `bound`.
    pub async fn start(&self, bound: Duration) -> Result<(), Failure> {
        match self {
            Self::Unit(unit) => unit.start(bound).await,
        }
    }

    /// Stops it: what has not stopped within `bound` is killed.
    ///
    /// # Errors
    /// Something of it may still run: why.
    pub async fn stop(&self, cgroup: Option<&Cgroup>, bound: Duration) -> Result<(), String> {
        match self {
            Self::Unit(unit) => unit.stop(cgroup, bound).await.map_err(|error| error.to_string()),
        }
    }

    /// Watches it for as long as somebody reads what is seen.
    pub fn watch(&self) -> Watched {
        let (seen, sight) = watch::channel(Sight::default());
        let (asked, requests) = watch::channel(0);
        match self {
            Self::Unit(unit) => drop(tokio::spawn(systemd::watch(unit.clone(), seen, requests))),
        }
        Watched { sight, asked }
    }
}

impl Watched {
    /// What is seen by a look that begins now; after `bound`, what was seen last.
    pub async fn look_again(&mut self, bound: Duration) -> Sight {
        let request = *self.asked.borrow() + 1;
        self.asked.send_replace(request);
        let answered = self.sight.wait_for(|sight| sight.answers >= request);
        drop(timeout(bound, answered).await);
        self.sight.borrow().clone()
    }
}
