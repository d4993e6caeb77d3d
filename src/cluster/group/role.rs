//! The one place where a node's role in a group changes; each change has a row and a reason.

use super::knowledge::Change;
use super::offer::Made;
use super::{Context, Group, Outbox};
use crate::cluster::anchor::Owner;
use crate::cluster::command::Desired;
use crate::cluster::decision::{Row, View};
use crate::cluster::heartbeat::Role;
use crate::cluster::node::NodeId;
use crate::cluster::notice::Level;

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
        let heard = self.members(cx).filter_map(|peer| peer.report(self.id)).map(|report| report.term).max();
        self.term = self.term.max(heard.unwrap_or(0)).saturating_add(1);
        self.memory.term = self.term;
        self.set_role(Role::Active, row, reason, cx, out);
        self.want(Desired::Serve { repair: true }, out);
        self.store(out);
    }

    pub(super) fn become_standby(&mut self, row: Row, reason: &str, cx: &Context<'_>, out: &mut Outbox) {
        self.set_role(Role::Standby, row, reason, cx, out);
        self.offer = None;
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
        self.offer = Some(Made::new(id, self.term, to, cx.settings.call_timeout, cx.now));
        out.urgent = true;
        let whom = to.map_or("whoever is eligible".into(), |node| format!("{{node {}}}", node.0));
        self.tell(Level::Info, "offered", format!("the group is offered to {whom}"), cx, out);
    }

    /// Repeats our offer until it is answered; ends it when it has run out or the anchor has gone.
    pub(super) fn tend_offer(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let may_offer = self.role == Role::Active || self.row == Row::OwnUnfit;
        let hands_over = (self.leaving || self.memory.standby) && !self.memory.maintenance.on;
        if hands_over && self.role == Role::Active && self.taker(cx).is_some() {
            self.make_offer(self.taker(cx), cx, out);
        }
        let answered = self.offer.as_ref().and_then(|offer| {
            self.members(cx)
                .find(|peer| peer.report(self.id).is_some_and(|report| report.ready == Some(offer.id)))
                .map(|peer| peer.id)
        });
        let Some(offer) = &mut self.offer else { return };
        if offer.answered_by.is_none() {
            offer.answered_by = answered;
        }
        if !may_offer {
            self.offer = None;
            out.urgent = true;
            return;
        }
        if offer.over(cx.now) {
            self.offer = None;
            self.tell(Level::Warn, "offer-failed", "nobody took the group that was offered".into(), cx, out);
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
