//! After the healing.

use std::time::Duration;

use standin::cluster::{Desired, NodeId};

use crate::chance::secs;
use crate::model::ec2::Holder;
use crate::world::World;

/// After everything is healed, and no call can land any more, it has to converge within this, and what
/// failback waits for.
const CONVERGE: Duration = secs(60);
/// And stay so for this long.
const STAY: Duration = secs(120);

impl World {
    /// By when it has to have converged, counted from the quiet.
    fn converges_within(&self) -> Duration {
        let failback = self.settings.groups.iter().filter_map(|group| group.failback).max();
        // The wait begins when the preferred node has become fit, and its clock may be slow.
        CONVERGE + failback.map_or(Duration::ZERO, |wait| wait * 9 / 8 + secs(60))
    }

    /// Whether the run is at its end.
    pub(crate) fn over(&self) -> bool {
        self.quiet_from.is_some_and(|from| self.now >= from + self.converges_within() + STAY)
    }

    /// `peace` (f): within 60 s (and failback's wait) after the healing, and for two minutes from then on:
    /// one active node, which holds the anchor, the rest and the lease, and serves; all others stand by; nothing
    /// is with nobody.
    pub(crate) fn look_for_peace(&mut self, group: usize) {
        let now = self.now;
        let active: Vec<usize> = self.members().filter(|it| self.machines[*it].active(group)).collect();
        let anchor = self.ec2.anchors[group].holder.now();
        let (rest, owner) = (self.ec2.rests[group].now(), self.dynamo.owners[group].now());
        let leased = self.settings.groups[group].lease.is_some();
        let peace = active.len() == 1 && {
            let node = NodeId(active[0] as u8);
            let all = anchor == Holder::Node(node) && rest == anchor && (!leased || owner == Some(node));
            all && self.members().all(|it| {
                let machine = &self.machines[it];
                let service = &machine.groups[group].service;
                let serves = it == active[0];
                let wanted = if serves { Desired::Serve { repair: true } } else { Desired::Standby };
                machine.runs(now) && service.real == Some(wanted) && service.running == serves
            })
        };
        let state = &mut self.checks.groups[group];
        state.converged_since = if peace { state.converged_since.or(Some(now)) } else { None };
        let Some(quiet_from) = self.quiet_from else { return };
        let due = quiet_from + self.converges_within();
        let state = &mut self.checks.groups[group];
        match state.converged_since {
            None if now > due => {
                let real: Vec<_> =
                    self.members().map(|it| self.machines[it].groups[group].service.real).collect();
                self.fail("peace", format!(
                    "group {group} has not converged, or not stayed so: active {active:?}, anchor {anchor:?}, rest {rest:?}, lease {owner:?}, really {real:?}"
                ));
            }
            None => state.reported = false,
            Some(since) if now > due && !state.reported => {
                state.reported = true;
                self.tally.converged(since.since(quiet_from));
            }
            Some(_) => {}
        }
    }
}
