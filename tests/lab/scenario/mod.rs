//! What is done to the pair, and what has to come of it.

mod agent;
mod instance;
mod network;
mod operator;
mod service;

use std::time::Duration;

use crate::lab::Lab;
use crate::trial::Outcome;

/// How much is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// How long packets are lost.
    pub(crate) loss: Duration,
    /// How many switchovers, one after the other.
    pub(crate) switchovers: usize,
}

/// A scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the client's silence should not exceed; printed beside it, and not a test.
    pub(crate) target: &'static str,
    /// Whether it is in the short list.
    pub(crate) quick: bool,
    pub(crate) run: fn(&mut Lab, Amount) -> anyhow::Result<Outcome>,
}

const fn scenario(
    name: &'static str,
    target: &'static str,
    quick: bool,
    run: fn(&mut Lab, Amount) -> anyhow::Result<Outcome>,
) -> Scenario {
    Scenario { name, target, quick, run }
}

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Scenario] = &[
    scenario("instance-killed", "3 s", true, instance::killed),
    scenario("instance-frozen", "3 s", false, instance::frozen),
    scenario("instance-powered-off", "no dead-after", true, instance::powered_off),
    scenario("reboot-in-maintenance", "", false, instance::rebooted_in_maintenance),
    scenario("both-killed-holder-first", "", false, instance::both_killed_holder_first),
    scenario("both-killed-holder-last", "", false, instance::both_killed_holder_last),
    scenario("asterisk-killed", "its start", true, service::killed),
    scenario("asterisk-frozen", "4.5 s", true, service::frozen),
    scenario("asterisk-keeps-dying", "", false, service::keeps_dying),
    scenario("agent-killed", "none", true, agent::killed),
    scenario("agent-restarted", "none", true, agent::restarted),
    scenario("second-link-down", "none", false, network::second_link_down),
    scenario("service-link-down", "", false, network::service_link_down),
    scenario("cut-from-the-active", "none", true, network::cut_from_the_active),
    scenario("cut-from-the-standby", "none", false, network::cut_from_the_standby),
    scenario("ec2-gone-for-the-active", "none", false, network::ec2_gone_for_the_active),
    scenario("ec2-gone-for-the-standby", "none", false, network::ec2_gone_for_the_standby),
    scenario("ec2-gone-for-both", "none", false, network::ec2_gone_for_both),
    scenario("packets-lost", "none", false, network::packets_lost),
    scenario("switchover", "", true, operator::switchover),
    scenario("switchovers", "", false, operator::switchovers),
];
