//! A job of systemd's, from its beginning to its result.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use zbus::MatchRule;
use zbus::message::Type;
use zbus::zvariant::OwnedObjectPath;

use super::bus::{Bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_WHOLE};
use super::error::UnitError;

/// What is done with a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Job {
    Start,
    Stop,
}

impl Job {
    /// In a sentence: "it did not …".
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
        }
    }
}

/// Runs a job for one unit, in place of one that is under way; answers its result.
///
/// # Errors
/// systemd refuses, or the job has not ended within `bound`: then it goes on.
pub(super) async fn run(bus: &Bus, job: Job, unit: &str, bound: Duration) -> Result<String, UnitError> {
    // Before the job, so that its end is not missed.
    let mut ends = bus.signals(removed(unit)?).await?;
    // systemd sends signals to who has asked for them.
    bus.tell("Subscribe", &()).await?;
    let started: OwnedObjectPath = bus.ask(job.method(), &(unit, "replace")).await?;
    let ended = async {
        while let Some(Ok(message)) = ends.next().await {
            // Number, path, unit, result.
            let body = message.body();
            let Ok((_, job, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                continue;
            };
            if job == started {
                return Ok(result);
            }
        }
        Err(UnitError::NoBus("the bus has gone while it worked".to_owned()))
    };
    let too_late = || UnitError::TooLate { what: job.word(), unit: unit.to_owned(), after: bound };
    timeout(bound, ended).await.unwrap_or_else(|_elapsed| Err(too_late()))
}

/// The ends of jobs of this unit.
fn removed(unit: &str) -> Result<MatchRule<'static>, UnitError> {
    let rule = || {
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(SYSTEMD)?.path(SYSTEMD_PATH)?;
        let rule = rule.interface(SYSTEMD_WHOLE)?.member("JobRemoved")?;
        Ok::<_, zbus::Error>(rule.arg(2, unit.to_owned())?.build().into_owned())
    };
    rule().map_err(|error| UnitError::NoBus(error.to_string()))
}
