//! What the core is told of the configuration.

use crate::cluster::{Fencing as CoreFencing, WhenLost as CoreWhenLost, WhenSilent as CoreWhenSilent};
use crate::cluster::{GroupSettings, LeaseSettings, Memory, NodeId, RecoverySettings, Settings};
use crate::config::{
    Arbiter, Config, Fencing, Group, Lease, Recovery, Standby, WhenFencingFails, WhenIsolated, WhenLost,
    WhenSilent,
};

/// The settings of this node's core; `remembered` is in the order of the groups.
pub(super) fn settings(config: &Config, me: NodeId, remembered: Vec<Memory>, seed: u64) -> Settings {
    let small = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let links = config.nodes.first().map_or(0, |node| node.links.len());
    let beat = &config.heartbeat;
    let groups = config.groups.iter().zip(remembered);
    let groups = groups.map(|(it, memory)| group(it, config.lease.as_ref(), memory));
    Settings {
        me,
        nodes: small(config.nodes.len()),
        links: small(links),
        interval: beat.interval,
        warn_after: beat.warn_after,
        dead_after: beat.dead_after,
        first_dead_after: beat.first_dead_after,
        call_timeout: config.aws.call_timeout,
        config_hash: config.hash(),
        seed,
        recovery: config.recovery.map(recovery),
        groups: groups.collect(),
    }
}

fn recovery(recovery: Recovery) -> RecoverySettings {
    let when_lost = match recovery.when_lost {
        WhenLost::Reboot => CoreWhenLost::Reboot,
        WhenLost::Restart => CoreWhenLost::Restart,
    };
    RecoverySettings { when_lost, boot_time: recovery.boot_time, attempts: recovery.attempts }
}

fn group(group: &Group, lease: Option<&Lease>, memory: Memory) -> GroupSettings {
    GroupSettings {
        nodes: group.nodes.clone(),
        when_silent: match group.when_silent {
            WhenSilent::Take => CoreWhenSilent::Take,
            WhenSilent::Probe => CoreWhenSilent::Probe,
            WhenSilent::Hold => CoreWhenSilent::Hold,
        },
        release_when_isolated: group.when_isolated == WhenIsolated::Release,
        fencing: match group.fencing {
            Fencing::None => CoreFencing::None,
            Fencing::Before => CoreFencing::Before,
            Fencing::Alongside => CoreFencing::Alongside,
        },
        take_when_fencing_fails: group.when_fencing_fails == WhenFencingFails::Take,
        lease: match group.arbiter {
            Arbiter::Ec2 => None,
            Arbiter::Dynamodb => lease.map(|lease| LeaseSettings {
                length: lease.length,
                stop_bound: lease.stop_bound,
                grace: lease.grace.unwrap_or_default(),
            }),
        },
        failback: group.failback,
        migration_threshold: group.migration_threshold,
        failure_timeout: group.failure_timeout,
        cold: group.service.as_ref().is_some_and(|service| service.standby == Standby::Cold),
        memory,
    }
}
