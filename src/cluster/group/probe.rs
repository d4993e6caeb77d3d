//! The probe of `when-silent = "probe"`: a standby asks the service at the address that moves, as a caller
//! would. An answer holds. No answer counts only if this probe, from this node, has answered in this tenure:
//! otherwise one cut silences heartbeats and probe alike.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::command::Command;
use super::super::node::NodeId;
use super::super::settings::WhenSilent;
use super::super::time::Time;
use super::{Context, Group, Outbox};
use crate::cluster::heartbeat::Role;

/// While the holder is heard.
const EVERY: Duration = Duration::from_secs(10);
/// While it is late or silent.
const CLOSELY: Duration = Duration::from_millis(250);
/// So many probes in a row that were sent into the holder's silence have to fail.
const FAILURES: u32 = 2;

/// What the probes of one holder's tenure have said.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Probes {
    of: Option<NodeId>,
    /// It has answered in this tenure.
    answered: bool,
    /// So many in a row have not been answered since the holder was last heard.
    unanswered: u32,
    under_way: Option<(u64, Time)>,
    next: Time,
}

impl Probes {
    /// Whether silence may move the group from this holder, as far as the probe goes.
    pub(super) fn allow(&self, holder: Option<NodeId>) -> bool {
        holder.is_some() && self.of == holder && self.answered && self.unanswered >= FAILURES
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.of.is_some().then_some(self.next)
    }
}

impl Group {
    /// Probes, if that is configured, while another node holds the group.
    pub(super) fn tend_probe(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.settings(cx).when_silent != WhenSilent::Probe {
            return;
        }
        let holder = self.holder(cx).filter(|_| self.role == Role::Standby);
        // Unknown is no new tenure.
        let known = self.role == Role::Active || self.owner(cx.now).1.is_some();
        if known && self.probes.of != holder.map(|peer| peer.id) {
            let of = holder.map(|peer| peer.id);
            self.probes = Probes { of, ..Probes::default() };
        }
        let Some(holder) = holder else { return };
        let quiet = holder.late(cx.now, cx.settings) || holder.silent(cx.now, cx.settings);
        if !quiet {
            self.probes.unanswered = 0;
        } else if self.probes.next > cx.now + CLOSELY {
            self.probes.next = cx.now;
        }
        let overdue = cx.settings.call_timeout * 2;
        if self.probes.under_way.is_some_and(|(_, sent)| cx.now.since(sent) >= overdue) {
            self.probes.under_way = None;
        }
        if self.probes.under_way.is_some() || cx.now < self.probes.next {
            return;
        }
        let call = out.call();
        self.probes.under_way = Some((call, cx.now));
        self.probes.next = cx.now + if quiet { CLOSELY } else { EVERY };
        out.commands.push_back(Command::Probe { group: self.id, call });
    }

    pub(in super::super) fn probed(&mut self, call: u64, answered: bool, cx: &Context<'_>) {
        let Some((_, sent)) = self.probes.under_way.filter(|(number, _)| *number == call) else { return };
        self.probes.under_way = None;
        let heard_at = self.holder(cx).and_then(|peer| peer.heard_at);
        if answered {
            self.probes.answered = true;
            self.probes.unanswered = 0;
        } else if heard_at.is_none_or(|heard| sent > heard) {
            self.probes.unanswered = self.probes.unanswered.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
