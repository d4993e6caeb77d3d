//! What operators do.

use standin::control::protocol::Request;

use super::Amount;
use crate::lab::{GROUP, Lab, PATIENCE, until};
use crate::trial::{Outcome, Trial};

pub(super) fn switchover(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.ask(active, Request::Switchover { group: GROUP.into(), to: None, drain_ms: None })?;
    trial.until_answered_by(standby)?;
    trial.end(lab, standby, 1)
}

/// There and back, as fast as each is ready for the next.
pub(super) fn switchovers(lab: &mut Lab, amount: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let mut active = trial.active;
    trial.now();
    for _ in 0..amount.switchovers {
        lab.ask(active, Request::Switchover { group: GROUP.into(), to: None, drain_ms: None })?;
        active = 1 - active;
        trial.until_answered_by(active)?;
        until("the next can be asked for", PATIENCE, || Ok(lab.obstacle()?.1.is_none().then_some(())))?;
    }
    let mut outcome = trial.end(lab, active, amount.switchovers)?;
    let (failed, times) = (outcome.calls.failed, amount.switchovers);
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let each = failed as f64 / times.max(1) as f64;
    outcome.notes.push(format!("{times} switchovers, {each:.2} calls lost in each"));
    Ok(outcome)
}
