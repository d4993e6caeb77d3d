//! What a seed draws before its run begins: which nodes and groups there are, and how they are configured.

use std::time::Duration;

use standin::cluster::{
    Fencing, GroupSettings, LeaseSettings, NodeId, Random, RecoverySettings, Settings, WhenLost, WhenSilent,
};

use crate::chance::{Chance, ms, secs};

/// The shell's bound on a call.
pub(crate) const CALL_TIMEOUT: Duration = secs(3);

/// Which nodes and groups there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Topology {
    pub(crate) nodes: u8,
    /// The first so many nodes are in the groups; the others only witness.
    pub(crate) members: u8,
    pub(crate) groups: u8,
}

impl Topology {
    /// Those that are searched when none is named.
    pub(crate) const ALL: [&'static str; 8] = ["2", "3", "2x2", "2+1", "4", "5", "3x2", "4+1"];

    /// "3": three nodes, one group; "3x2": two groups; "2+1": two nodes and a witness.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (rest, witnesses) = name.split_once('+').unwrap_or((name, "0"));
        let (members, groups) = rest.split_once('x').unwrap_or((rest, "1"));
        let number = |text: &str| text.parse::<u8>().ok();
        let (members, groups, witnesses) = (number(members)?, number(groups)?, number(witnesses)?);
        let nodes = members.checked_add(witnesses)?;
        let known = (2..=5).contains(&members) && nodes <= 5 && (1..=3).contains(&groups);
        known.then_some(Self { nodes, members, groups })
    }

    /// The name that [`Self::named`] knows.
    pub(crate) fn name(self) -> String {
        let groups = if self.groups > 1 { format!("x{}", self.groups) } else { String::new() };
        let witnesses =
            if self.nodes > self.members { format!("+{}", self.nodes - self.members) } else { String::new() };
        format!("{}{groups}{witnesses}", self.members)
    }
}

/// What the command line forces upon the draw.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Force {
    /// With the lease, or without.
    pub(crate) lease: Option<bool>,
    pub(crate) fencing: Option<Fencing>,
    pub(crate) when_silent: Option<WhenSilent>,
    pub(crate) cold: Option<bool>,
    /// With failback, or without.
    pub(crate) failback: Option<bool>,
    /// With recovery of lost nodes, or without.
    pub(crate) recovery: Option<bool>,
}

/// Draws the settings of all nodes.
pub(crate) fn settings(topology: Topology, force: Force, links: u8, random: &mut Random) -> Settings {
    let (interval, dead_after) =
        random.pick(&[(ms(250), secs(2)), (ms(250), secs(2)), (ms(250), secs(2)), (ms(500), secs(5))]);
    // All groups have, or have not, a lease: it decides what a pause of the machine and its clock may do.
    let lease = force.lease.unwrap_or(random.chance(300));
    Settings {
        me: NodeId(0),
        nodes: topology.nodes,
        links,
        interval,
        warn_after: dead_after / 2,
        dead_after,
        first_dead_after: secs(30),
        call_timeout: CALL_TIMEOUT,
        config_hash: 1,
        seed: 0,
        recovery: None,
        groups: (0..topology.groups).map(|first| group(topology, first, lease, force, random)).collect(),
    }
}

/// What is done about a lost node; from a stream of its own, so that runs without it are as they were before there
/// was any.
pub(crate) fn recovery(force: Force, random: &mut Random) -> Option<RecoverySettings> {
    // Only where it is asked for (`--recovery yes`): `recover-hasty` has an open finding, `--seed 119 --nodes 4 --recovery
    // yes`. Drawn all the same, so that a seed is the same run with and without it.
    let _drawn = random.chance(350);
    let recovery = RecoverySettings {
        when_lost: random.pick(&[WhenLost::Reboot, WhenLost::Reboot, WhenLost::Restart]),
        boot_time: random.pick(&[secs(60), secs(75), secs(120)]),
        attempts: random.pick(&[1, 2, 3]),
    };
    force.recovery.unwrap_or(false).then_some(recovery)
}

fn group(topology: Topology, first: u8, lease: bool, force: Force, random: &mut Random) -> GroupSettings {
    let members = (0..topology.members).map(|node| NodeId((node + first) % topology.members)).collect();
    let lease_settings = LeaseSettings {
        length: random.pick(&[secs(10), secs(10), secs(8), secs(20)]),
        stop_bound: random.pick(&[secs(2), secs(2), secs(1)]),
        grace: random.pick(&[secs(0), secs(0), secs(0), secs(0), secs(30)]),
    };
    let when_silent = match random.below(20) {
        0 => WhenSilent::Hold,
        1..=3 => WhenSilent::Probe,
        _ => WhenSilent::Take,
    };
    let fencing = random.pick(&[
        Fencing::None,
        Fencing::None,
        Fencing::None,
        Fencing::None,
        Fencing::Before,
        Fencing::Alongside,
    ]);
    let wait = random.between(secs(20), secs(120));
    let failback = force.failback.unwrap_or(random.chance(150));
    let cold = random.chance(300);
    GroupSettings {
        when_silent: force.when_silent.unwrap_or(when_silent),
        release_when_isolated: random.chance(150),
        fencing: force.fencing.unwrap_or(fencing),
        take_when_fencing_fails: random.chance(300),
        lease: lease.then_some(lease_settings),
        failback: failback.then_some(wait),
        migration_threshold: random.pick(&[3, 3, 1, 0]),
        failure_timeout: random.pick(&[None, Some(secs(60)), Some(secs(300))]),
        cold: force.cold.unwrap_or(cold),
        ..GroupSettings::of(members)
    }
}
