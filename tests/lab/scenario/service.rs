//! What happens to Asterisk.

use std::time::Duration;

use anyhow::ensure;

use super::Amount;
use crate::clients::{CallEnd, long_call};
use crate::lab::{Lab, PATIENCE, until};
use crate::trial::{Outcome, Trial};

const UNIT: &str = "asterisk.service";

/// It dies, and is started again where it was. Who is in a call loses it: the calls of other scenarios are seen to
/// survive by the same eyes.
pub(super) fn killed(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    let call = long_call();
    std::thread::sleep(Duration::from_secs(1));
    trial.now();
    let before = pid(lab, active)?;
    lab.nodes[active].signal_unit(UNIT, "KILL")?;
    restarted(lab, active, &before)?;
    trial.until_answered_by(active)?;
    std::thread::sleep(Duration::from_secs(1));
    let end = call.end()?;
    ensure!(matches!(end, CallEnd::Dropped(_)), "the call has outlived Asterisk: {end:?}");
    trial.end(lab, active, 0)
}

/// It hangs: it runs, and answers nobody. The check finds that, and it is killed and started again.
pub(super) fn frozen(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    trial.now();
    let before = pid(lab, active)?;
    lab.nodes[active].signal_unit(UNIT, "STOP")?;
    restarted(lab, active, &before)?;
    trial.until_answered_by(active)?;
    trial.end(lab, active, 0)
}

/// It dies again and again: at the migration threshold the group moves.
pub(super) fn keeps_dying(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    for _ in 0..2 {
        let before = pid(lab, active)?;
        lab.nodes[active].signal_unit(UNIT, "KILL")?;
        restarted(lab, active, &before)?;
        trial.until_answered_by(active)?;
    }
    lab.nodes[active].signal_unit(UNIT, "KILL")?;
    trial.until_answered_by(standby)?;
    trial.end(lab, standby, 1)
}

/// Waits until it runs as another process.
fn restarted(lab: &Lab, node: usize, before: &str) -> anyhow::Result<()> {
    until("another Asterisk", PATIENCE, || {
        let now = pid(lab, node)?;
        // One that is killed while it starts is not a service that died.
        let active = lab.nodes[node].inside(&["systemctl", "--quiet", "is-active", UNIT])?.status.success();
        Ok((active && now != before && now != "0").then_some(()))
    })
}

fn pid(lab: &Lab, node: usize) -> anyhow::Result<String> {
    let text = lab.nodes[node].command(&["systemctl", "show", "--property=MainPID", "--value", UNIT])?;
    Ok(text.trim().to_owned())
}
