//! What happens to the agent, while somebody is in a call.

use std::time::Duration;

use anyhow::ensure;

use super::Amount;
use crate::clients::{CallEnd, long_call};
use crate::instance::Instance;
use crate::lab::Lab;
use crate::trial::{Outcome, Trial};

/// SIGKILL; systemd brings it back.
pub(super) fn killed(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    in_a_call(lab, |node| node.signal_unit("standin.service", "KILL"))
}

/// An upgrade.
pub(super) fn restarted(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    in_a_call(lab, |node| node.command(&["systemctl", "restart", "standin.service"]).map(drop))
}

/// Nobody outside notices anything.
fn in_a_call(lab: &mut Lab, act: impl Fn(&Instance) -> anyhow::Result<()>) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    let call = long_call();
    std::thread::sleep(Duration::from_secs(1));
    trial.now();
    act(&lab.nodes[active])?;
    // Longer than the dead-after, and than it takes to settle.
    std::thread::sleep(Duration::from_secs(8));
    let end = call.end()?;
    ensure!(end == CallEnd::HungUp, "the call was lost: {end:?}");
    let outcome = trial.end(lab, active, 0)?;
    ensure!(outcome.calls.failed == 0, "{} calls failed", outcome.calls.failed);
    Ok(outcome)
}
