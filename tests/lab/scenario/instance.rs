//! What happens to whole instances.

use std::time::Duration;

use rustix::process::Signal;
use standin::control::protocol::Request;

use super::Amount;
use crate::lab::{GROUP, Lab, PATIENCE, until};
use crate::trial::{Outcome, Trial};

/// The power is cut.
pub(super) fn killed(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.nodes[active].kill()?;
    trial.until_answered_by(standby)?;
    trial.end(lab, standby, 1)
}

/// The virtual machine is paused for ten seconds, as in a live migration that goes wrong. When it comes back it finds
/// that the group is not its own any more, and takes nothing.
pub(super) fn frozen(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.nodes[active].signal_all(Signal::STOP)?;
    std::thread::sleep(Duration::from_secs(10));
    lab.nodes[active].signal_all(Signal::CONT)?;
    trial.end(lab, standby, 1)
}

/// The system is shut down: it hands over before anything stops.
pub(super) fn powered_off(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.nodes[active].command(&["systemctl", "poweroff"])?;
    trial.until_answered_by(standby)?;
    lab.nodes[active].wait_for_end()?;
    trial.end(lab, standby, 1)
}

/// A planned reboot that is not to move anything.
pub(super) fn rebooted_in_maintenance(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    let maintenance = |lab: &Lab, on| -> anyhow::Result<()> {
        lab.ask(active, Request::Maintenance { group: GROUP.into(), on })?;
        until("both know it", PATIENCE, || {
            let known = [0, 1].map(|node| lab.group(node).is_ok_and(|it| it.maintenance == on));
            Ok((known == [true; 2]).then_some(()))
        })
    };
    maintenance(lab, true)?;
    trial.now();
    lab.nodes[active].command(&["systemctl", "poweroff"])?;
    lab.nodes[active].wait_for_end()?;
    // As long as a slow one takes.
    std::thread::sleep(Duration::from_secs(10));
    lab.boot(active)?;
    until("it knows again", PATIENCE, || Ok(lab.group(active).ok().filter(|it| it.maintenance)))?;
    maintenance(lab, false)?;
    trial.end(lab, active, 0)
}

/// The power of both is cut, and comes back first where the group was.
pub(super) fn both_killed_holder_first(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.nodes[active].kill()?;
    lab.nodes[standby].kill()?;
    lab.boot(active)?;
    trial.until_answered_by(active)?;
    lab.boot(standby)?;
    trial.end(lab, active, 0)
}

/// The power of both is cut, and comes back where the group was not: what EC2 has of the other one is at rest, so
/// that this one takes the group; the other one then stands by.
pub(super) fn both_killed_holder_last(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    lab.nodes[standby].kill()?;
    lab.nodes[active].kill()?;
    lab.boot(standby)?;
    trial.until_answered_by(standby)?;
    lab.boot(active)?;
    trial.end(lab, standby, 1)
}
