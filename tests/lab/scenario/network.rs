//! What happens to the network between the nodes, and on the way to EC2.

use std::time::Duration;

use anyhow::ensure;

use super::Amount;
use crate::lab::Lab;
use crate::network::{ENDS, cut, faults, lossy, no_ec2, plug};
use crate::trial::{Outcome, Trial};

/// Longer than any patience that an agent has with EC2 or with a peer.
const LONG: Duration = Duration::from_secs(20);

/// The link that only heartbeats use.
pub(super) fn second_link_down(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    trial.now();
    plug(&[ENDS[active][1]], false)?;
    std::thread::sleep(LONG);
    plug(&[ENDS[active][1]], true)?;
    unnoticed(trial, lab)
}

/// The link that callers and EC2 are reached by. It cannot read EC2 any more, and offers over the other link.
pub(super) fn service_link_down(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    plug(&[ENDS[active][0]], false)?;
    trial.until_answered_by(standby)?;
    std::thread::sleep(LONG);
    plug(&[ENDS[active][0]], true)?;
    trial.end(lab, standby, 1)
}

/// The standby hears nothing of the active, which hears it: silence, so that the group moves, once.
pub(super) fn cut_from_the_active(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let (active, standby) = (trial.active, trial.standby);
    trial.now();
    faults(&[cut(active)])?;
    trial.until_answered_by(standby)?;
    std::thread::sleep(LONG);
    faults(&[])?;
    trial.end(lab, standby, 1)
}

/// The active hears nothing of the standby, which is no reason for anything.
pub(super) fn cut_from_the_standby(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let standby = trial.standby;
    trial.now();
    faults(&[cut(standby)])?;
    std::thread::sleep(LONG);
    faults(&[])?;
    unnoticed(trial, lab)
}

pub(super) fn ec2_gone_for_the_active(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let trial = Trial::begin(lab)?;
    let rules = vec![no_ec2(trial.active)];
    while_ec2_is_gone(trial, lab, &rules)
}

pub(super) fn ec2_gone_for_the_standby(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let trial = Trial::begin(lab)?;
    let rules = vec![no_ec2(trial.standby)];
    while_ec2_is_gone(trial, lab, &rules)
}

pub(super) fn ec2_gone_for_both(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let trial = Trial::begin(lab)?;
    while_ec2_is_gone(trial, lab, &[no_ec2(0), no_ec2(1)])
}

fn while_ec2_is_gone(mut trial: Trial, lab: &mut Lab, rules: &[String]) -> anyhow::Result<Outcome> {
    trial.now();
    faults(rules)?;
    std::thread::sleep(LONG * 2);
    faults(&[])?;
    unnoticed(trial, lab)
}

/// On both links, in both directions, 30 of 100.
pub(super) fn packets_lost(lab: &mut Lab, amount: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    trial.now();
    faults(&[lossy(30)])?;
    std::thread::sleep(amount.loss);
    faults(&[])?;
    let mut outcome = unnoticed(trial, lab)?;
    outcome.notes.push(format!("for {:?}", amount.loss));
    Ok(outcome)
}

/// Nobody outside notices anything, and the group stays.
fn unnoticed(trial: Trial, lab: &mut Lab) -> anyhow::Result<Outcome> {
    let active = trial.active;
    let outcome = trial.end(lab, active, 0)?;
    ensure!(outcome.calls.failed == 0, "{} calls failed", outcome.calls.failed);
    Ok(outcome)
}
