//! A systemd unit, over D-Bus: its state, told the moment it changes; its start; its stop in bounded time. systemd is
//! never trusted to answer. Its interface: org.freedesktop.systemd1(5).

mod bus;
mod error;
mod job;
mod properties;
mod watch;

use std::time::Duration;

use tokio::time::timeout;

use super::cgroup::Cgroup;
use super::state::{Failure, Shown, State};
use bus::Bus;
pub use error::UnitError;
use job::Job;
use properties::Properties;
pub use watch::watch;

/// How often a killed cgroup is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A killed process is gone within this, unless the kernel holds it.
const GONE: Duration = Duration::from_secs(1);

/// One unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    name: String,
}

impl Unit {
    /// The unit of this name, "asterisk.service".
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What systemd says of it.
    ///
    /// # Errors
    /// No answer in time, or there is no such unit.
    pub async fn show(&self) -> Result<(State, Shown), UnitError> {
        let bus = Bus::connect().await?;
        let said = Properties::read(&bus, &self.name).await?;
        Ok((said.state(), said.shown(&bus).await?))
    }

    /// Starts it, and waits until it has started.
    ///
    /// # Errors
    /// It did not start, or not within `bound`.
    pub async fn start(&self, bound: Duration) -> Result<(), Failure> {
        let failure = |error: UnitError| Failure {
            // Who has no way to systemd knows nothing of the unit.
            unknown: matches!(error, UnitError::NoBus(_) | UnitError::NoAnswer { .. }),
            ..Failure::soft(error.to_string())
        };
        self.bring_up(bound).await.map_err(failure)
    }

    async fn bring_up(&self, bound: Duration) -> Result<(), UnitError> {
        let bus = Bus::connect().await?;
        if matches!(Properties::read(&bus, &self.name).await?.state(), State::Failed(_)) {
            // Else systemd refuses a unit that has failed often (StartLimitBurst=); who starts it here paces itself.
            let _forgotten = bus.tell("ResetFailedUnit", &self.name.as_str()).await;
        }
        let result = job::run(&bus, Job::Start, &self.name, bound).await?;
        let said = Properties::read(&bus, &self.name).await?;
        if said.state().runs() == Some(true) {
            return Ok(());
        }
        // Also a job that is "done": a condition of the unit may not have been met, or it has ended already.
        Err(UnitError::Job { what: Job::Start.word(), unit: self.name.clone(), result, why: said.why() })
    }

    /// Stops it: when it has not stopped within `bound`, it is killed. Then nothing of it runs any more.
    ///
    /// # Errors
    /// Something of it may still run.
    pub async fn stop(&self, cgroup: Option<&Cgroup>, bound: Duration) -> Result<(), UnitError> {
        let stopped = self.take_down(bound).await;
        // What its own stop leaves behind (KillMode=process, say) has stopped too then.
        let Some(cgroup) = cgroup else { return stopped };
        self.kill(cgroup).await?;
        match stopped {
            // systemd has not been told, so that `Restart=` may bring back what was killed.
            Err(error @ (UnitError::Failed { .. } | UnitError::NoBus(_))) if !self.is_down().await => {
                Err(error)
            }
            // Told, it goes on with the stop by itself.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn take_down(&self, bound: Duration) -> Result<(), UnitError> {
        let bus = Bus::connect().await?;
        match job::run(&bus, Job::Stop, &self.name, bound).await?.as_str() {
            "done" => Ok(()),
            result => Err(UnitError::Job {
                what: Job::Stop.word(),
                unit: self.name.clone(),
                result: result.to_owned(),
                why: Properties::read(&bus, &self.name).await?.why(),
            }),
        }
    }

    /// Whether systemd says that it does not run, and is not about to.
    async fn is_down(&self) -> bool {
        match self.show().await {
            Ok((state, _)) => state.runs() == Some(false),
            Err(error) => matches!(error, UnitError::NotThere { .. }),
        }
    }

    /// Kills all that is in its cgroup, until nothing is.
    async fn kill(&self, cgroup: &Cgroup) -> Result<(), UnitError> {
        let kill = || cgroup.kill().map_err(|error| UnitError::Cgroup(format!("{}: {error}", cgroup.path())));
        let mut left = kill()?;
        let until_gone = async {
            while left > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
                left = kill()?;
            }
            Ok(())
        };
        match timeout(GONE, until_gone).await {
            Ok(result) => result,
            Err(_elapsed) => Err(UnitError::StillThere { unit: self.name.clone(), processes: left }),
        }
    }
}
