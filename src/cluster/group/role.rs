//! The one place where a node's role in a group changes; each change has a row and a reason.

use std::time::Duration;

use super::holding::Retakes;
use super::knowledge::Change;
use super::lease::Leasing;
use super::offer::Made;
use super::{Context, Group, Outbox};
use crate::cluster::anchor::Owner;
use crate::cluster::command::Desired;
use crate::cluster::decision::{Row, View};
use crate::cluster::heartbeat::Role;
use crate::cluster::node::NodeId;
use crate::cluster::notice::Level;
use crate::cluster::peer::Peer;

/// How long a forced takeover is tried.
const FORCED_FOR: Duration = Duration::from_secs(30);

impl Group {
    fn set_role(&mut self, role: Role, row: Row, reason: &str, cx: &Context<'_>, out: &mut Outbox) {
        self.role = role;
        self.role_since = cx.now;
        self.role_reason = (row, reason.into());
        self.armed = None;
        self.accepted = None;
        self.heard_offer = None;
        self.alarmed = None;
        self.rest.forget();
        self.take.reset();
        self.forced = None;
        self.preferred = None;
        self.retakes = Retakes::default();
        out.urgent = true;
        let text = match role {
            Role::Active => {
                format!("this node is active, term {} (row {}: {reason})", self.term, row.number())
            }
            Role::Standby => format!("this node is standby (row {}: {reason})", row.number()),
        };
        self.tell(Level::Info, "role-changed", text, cx, out);
    }

    pub(super) fn become_active(&mut self, row: Row, reason: &str, cx: &Context<'_>, out: &mut Outbox) {
        if self.role == Role::Active {
            return;
        }
        self.term = self.newest_term(cx).saturating_add(1);
        self.memory.term = self.term;
        self.set_role(Role::Active, row, reason, cx, out);
        self.want_to_serve(true, cx, out);
        if self.lease.is_some() {
            // The anchor follows, and what is known of it may be old.
            self.knowledge.ask_now();
        }
        self.store(out);
    }

    /// Serves, unless the service has to stop (or has stopped) for the one that takes the group over.
    pub(super) fn serve(&mut self, repair: bool, cx: &Context<'_>, out: &mut Outbox) {
        if self.offer.as_ref().is_some_and(|offer| offer.stops) {
            self.want(Desired::Standby, out);
        } else {
            self.want_to_serve(repair, cx, out);
        }
    }

    /// The guard first: what it does not watch must not run.
    fn want_to_serve(&mut self, repair: bool, cx: &Context<'_>, out: &mut Outbox) {
        let desired = Desired::Serve { repair };
        if self.desired != Some(desired) {
            // What had stopped will not have.
            self.converged = false;
            self.tend_guard(cx, out);
        }
        self.want(desired, out);
    }

    /// The highest term that is known.
    pub(super) fn newest_term(&self, cx: &Context<'_>) -> u64 {
        let heard = self.members(cx).filter_map(|peer| peer.report(self.id)).map(|report| report.term).max();
        let leased = self.lease.as_ref().map_or(0, Leasing::term);
        self.term.max(heard.unwrap_or(0)).max(leased)
    }

    pub(super) fn become_standby(&mut self, row: Row, reason: &str, cx: &Context<'_>, out: &mut Outbox) {
        self.set_role(Role::Standby, row, reason, cx, out);
        self.end_offer();
        self.want(Desired::Standby, out);
    }

    pub(super) fn yield_to(&mut self, view: &View, cx: &Context<'_>, out: &mut Outbox) {
        let (owner, reason) = match (view.anchor, view.outranked_by) {
            (Some(owner @ Owner::Theirs(node)), _) => {
                (owner, format!("EC2 says that the anchor is with {{node {}}}", node.0))
            }
            (None, Some(node)) => {
                let reason = "is active with a higher term, and has it from EC2 that the anchor is there";
                (Owner::Theirs(node), format!("{{node {}}} {reason}", node.0))
            }
            (Some(owner), _) => (owner, "EC2 says that the anchor is with a stranger".into()),
            (None, None) => return,
        };
        self.become_standby(Row::Yield, &reason, cx, out);
        self.knowledge.changed(Change::To(owner), cx.now);
    }

    /// Offers the group, unless an offer of ours still runs.
    pub(in super::super) fn make_offer(&mut self, to: Option<NodeId>, cx: &Context<'_>, out: &mut Outbox) {
        if self.offer.is_some() {
            return;
        }
        let id = out.random.next();
        // Where only one may run, the service stops once somebody is ready to take over.
        let runs_alone = self.settings(cx).cold || self.lease.is_some();
        // Also a node that stands by already may still be stopping it, or have found it running at its start.
        let down = self.desired == Some(Desired::Standby) && self.converged;
        let stopped = !runs_alone || (self.role == Role::Standby && down);
        self.offer = Some(Made::new(id, self.term, to, stopped, cx.settings.call_timeout, cx.now));
        out.urgent = true;
        let whom = to.map_or("whoever is eligible".into(), |node| format!("{{node {}}}", node.0));
        self.tell(Level::Info, "offered", format!("the group is offered to {whom}"), cx, out);
    }

    /// Our offer is over. A taker's write of the lease may be under way, and land.
    pub(super) fn end_offer(&mut self) {
        if let Some(lease) = self.lease.as_mut().filter(|_| self.offer.as_ref().is_some_and(|it| it.stopped))
        {
            lease.forfeit();
        }
        self.offer = None;
    }

    /// An operator's switchover, to this node or to the best one. One-way deafness bars it.
    pub(in super::super) fn switch_over(&mut self, to: Option<NodeId>, cx: &Context<'_>, out: &mut Outbox) {
        let Some(to) = to.or_else(|| self.taker(cx)) else {
            let text = "no other node could take the group: the switchover is not begun".to_owned();
            return self.tell(Level::Warn, "switchover-refused", text, cx, out);
        };
        let hears = |peer: &&Peer| peer.id == to && peer.hears_us(cx.settings.me, cx.now, cx.settings);
        if self.members(cx).any(|peer| hears(&peer)) {
            return self.make_offer(Some(to), cx, out);
        }
        let text = format!(
            "{{node {}}} is not heard, or does not hear this node: the switchover is not begun",
            to.0
        );
        self.tell(Level::Warn, "switchover-refused", text, cx, out);
    }

    /// `takeover --force`.
    pub(in super::super) fn force(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.memory.maintenance.on {
            let text = "the group is in maintenance: end that first".to_owned();
            return self.tell(Level::Warn, "force-refused", text, cx, out);
        }
        self.aside_until = None;
        let mut from = cx.now;
        if self.is_leased(cx) {
            let text = "another node holds the lease: it is taken when it was not renewed for its length; who renews it is \
                        not forced out, but moved by a switchover";
            self.tell(Level::Warn, "force-waits", text.into(), cx, out);
            from = self.lease.as_ref().and_then(Leasing::expires_at).unwrap_or(from);
        }
        self.forced = Some(from + FORCED_FOR);
    }

    /// Repeats our offer until it is answered; ends it when it has run out or the anchor has gone.
    pub(super) fn tend_offer(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let may_offer = self.role == Role::Active || matches!(self.row, Row::OwnUnfit | Row::OwnAnchor);
        let hands_over = (self.leaving || self.memory.standby) && !self.memory.maintenance.on;
        if hands_over && self.role == Role::Active && self.taker(cx).is_some() {
            self.make_offer(self.taker(cx), cx, out);
        }
        let answered = self.offer.as_ref().and_then(|offer| {
            self.members(cx)
                .find(|peer| peer.report(self.id).is_some_and(|report| report.ready == Some(offer.id)))
                .map(|peer| peer.id)
        });
        let down = self.desired == Some(Desired::Standby) && self.converged;
        let Some(offer) = &mut self.offer else { return };
        if offer.proceed(answered, down, cx.settings.call_timeout, cx.now) {
            out.urgent = true;
        }
        if offer.stops && !self.memory.maintenance.on {
            self.want(Desired::Standby, out);
        }
        let Some(offer) = &mut self.offer else { return };
        if !may_offer {
            self.end_offer();
            out.urgent = true;
            return;
        }
        if offer.over(cx.now) {
            let unheard = offer.answered_by.is_none();
            self.end_offer();
            self.tell(Level::Warn, "offer-failed", "nobody took the group that was offered".into(), cx, out);
            let deaf = unheard && self.lease.is_some() && self.role == Role::Active;
            if deaf && !self.fit_here(cx) && !self.memory.maintenance.on && self.taker(cx).is_some() {
                self.stand_aside("the lease is given back: the service has failed here, and the node that could take the group does not hear this one", cx, out);
            }
            return;
        }
        if offer.repeat_due(cx.settings.interval, cx.now) {
            out.urgent = true;
        }
    }

    /// Whether a peer said that it takes what we offer.
    pub(in super::super) fn offer_answered(&self) -> bool {
        self.offer.as_ref().is_some_and(|offer| offer.answered_by.is_some())
    }

    /// Stops serving although nobody takes over: the agent ends.
    pub(in super::super) fn give_up(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let text = "nobody is ready to take the group; it stops here and the anchor stays with this node";
        self.tell(Level::Warn, "nobody-ready", text.into(), cx, out);
        self.become_standby(self.row, "the agent is stopping and nobody is ready to take over", cx, out);
    }
}

#[cfg(test)]
mod tests;
