//! From what was heard and read to the [`View`] that the table decides on; and the GATE before a take.

use std::time::Duration;

use super::knowledge::{Change, Watch};
use super::offer::Heard;
use super::take::{ACTIVE_FIRST, CONFLICTS, Gate, Rival, step};
use super::{Context, Group, Outbox};
use crate::cluster::anchor::{AnchorRead, Owner};
use crate::cluster::decision::{Holder, Row, View};
use crate::cluster::event::{Failure, Running};
use crate::cluster::heartbeat::Role;
use crate::cluster::node::NodeId;
use crate::cluster::notice::Level;
use crate::cluster::peer::Peer;
use crate::cluster::settings::{FRESH, SETTLE, WhenSilent};

impl Group {
    /// Takes in what the peers say: claims, offers, maintenance; arms and disarms.
    pub(super) fn hear(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let nodes = &self.settings(cx).nodes;
        for peer in cx.peers.iter().filter(|peer| nodes.contains(&peer.id)) {
            let heard = peer.heard(cx.now, cx.settings);
            let Some(report) = peer.report(self.id).filter(|_| heard || peer.left) else {
                if self.heard_offer.is_some_and(|offer| offer.from == peer.id) && !heard {
                    self.heard_offer = None;
                }
                continue;
            };
            self.hear_claim(peer, report.role == Role::Active && heard, report.term, cx);
            let fresh = peer.said_at == Some(cx.now);
            if let Some(offer) = report.offer.as_ref().filter(|_| fresh) {
                let known = self.heard_offer.map(|heard| heard.id);
                self.heard_offer = Heard::hear(self.heard_offer, peer.id, cx.settings.me, offer, cx.now);
                if self.heard_offer.is_some_and(|heard| known != Some(heard.id)) {
                    let text = format!("{{node {}}} offers the group", peer.id.0);
                    self.tell(Level::Info, "offer-heard", text, cx, out);
                }
            } else if report.offer.is_none() && self.heard_offer.is_some_and(|offer| offer.from == peer.id) {
                self.heard_offer = None;
            }
            self.set_maintenance(report.maintenance, cx, out);
        }
        self.arm(cx);
    }

    /// A claim that is new, with a term not below any that we know, is a change: EC2 is asked, and until it
    /// has answered the claim counts. Without the others' terms a thawed node that has long been replaced
    /// would count as the holder with whoever never was active itself.
    fn hear_claim(&mut self, peer: &Peer, claims: bool, term: u64, cx: &Context<'_>) {
        let known = &mut self.claims[usize::from(peer.id.0)];
        let Some(session) = peer.session.filter(|_| claims) else {
            *known = None;
            return;
        };
        if *known == Some((session, term)) {
            return;
        }
        *known = Some((session, term));
        let others = self.members(cx).filter(|other| other.id != peer.id);
        let newest = others.filter_map(|other| other.report(self.id)).map(|report| report.term).max();
        if let Some(lease) = &mut self.lease {
            // The table says at once what a claim is worth.
            lease.ask_now();
        } else if term >= self.term.max(newest.unwrap_or(0)) {
            self.knowledge.changed(Change::To(Owner::Theirs(peer.id)), cx.now);
        }
    }

    /// Armed: the holder was heard as active in this tenure, since we started or yielded.
    fn arm(&mut self, cx: &Context<'_>) {
        let holder = self.holder(cx);
        if self.armed != holder.map(|peer| peer.id) && self.owner(cx.now).1.is_some() {
            self.armed = None;
        }
        let Some(holder) = holder.filter(|_| self.role == Role::Standby) else { return };
        if holder.heard(cx.now, cx.settings) {
            self.rest.forget();
            if holder.says_active(self.id) && holder.heard_at > Some(self.role_since) {
                self.armed = Some(holder.id);
            }
        }
    }

    /// The node that holds the anchor, if it is another one.
    pub(super) fn holder<'a>(&self, cx: &Context<'a>) -> Option<&'a Peer> {
        let Some(Owner::Theirs(node)) = self.owner(cx.now).1 else { return None };
        cx.peers.iter().find(|peer| peer.id == node)
    }

    /// A read was answered.
    pub(in super::super) fn anchor_read(
        &mut self,
        call: u64,
        answer: Result<AnchorRead, Failure>,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let failing = self.knowledge.failures > 0;
        let news = self.knowledge.answered(call, answer, &mut out.random, cx.now);
        if self.knowledge.failures == 3 {
            self.tell(
                Level::Warn,
                "reads-fail",
                "EC2 does not say who holds the anchor; what is known grows old".into(),
                cx,
                out,
            );
        } else if failing && self.knowledge.failures == 0 {
            self.tell(Level::Info, "reads-answered", "EC2 says again who holds the anchor".into(), cx, out);
        }
        let Some(last) = self.knowledge.last.filter(|_| news) else { return };
        if last.owner != Owner::Nobody {
            self.take.contest = None;
        }
        if let Owner::Theirs(node) = last.owner
            && let Some(peer) = cx.peers.iter().find(|peer| peer.id == node)
            && (peer.silent(cx.now, cx.settings) || peer.left)
        {
            self.rest.saw(node, last.counter, last.sent);
        } else {
            self.rest.forget();
        }
    }

    pub(in super::super) fn own_tag_written(&mut self, ok: bool, cx: &Context<'_>) {
        self.rest.own_tag_answered(ok, cx.now);
    }

    /// Everything that the decision may depend on.
    pub(super) fn view(&self, cx: &Context<'_>) -> View {
        let (settled, anchor) = self.owner(cx.now);
        let active = self.role == Role::Active;
        let settings = self.settings(cx);
        View {
            maintenance: self.memory.maintenance.on,
            settled,
            anchor,
            reads_fail: self.knowledge.failures > 0 && !self.knowledge.just_took(cx.now),
            active,
            fit: self.fit_here(cx) && (active || !self.is_set_aside(cx)),
            peer_heard: self.members(cx).any(|peer| peer.heard(cx.now, cx.settings)),
            contested: self.contested(),
            outranked_by: self.outranked_by(cx).filter(|_| self.lease.is_none()),
            patience_over: self.leaving || self.patience_over(cx),
            last_resort: !self.is_set_aside(cx) && self.taker(cx).is_none(),
            take_when_silent: self.silence_moves(cx),
            lapsed: self.lapsed(cx),
            release_when_isolated: settings.release_when_isolated,
            holder: self.holder(cx).map(|peer| self.view_of(peer, cx)).unwrap_or_default(),
        }
    }

    /// Whether it is somebody's wish, and no failure, that this node is not active.
    fn is_set_aside(&self, cx: &Context<'_>) -> bool {
        self.memory.standby || self.leaving || self.stands_aside(cx)
    }

    /// First-dead-after in rows 10 and 13. An idle holder's lease says by itself when it is over.
    fn patience_over(&self, cx: &Context<'_>) -> bool {
        let counts = self.row == Row::OwnUnfit || (self.row == Row::HolderIdle && self.lease.is_none());
        counts && cx.now.since(self.row_since) >= cx.settings.patience()
    }

    /// Whether silence moves the group.
    fn silence_moves(&self, cx: &Context<'_>) -> bool {
        if self.lease.is_some() {
            return false;
        }
        match self.settings(cx).when_silent {
            WhenSilent::Take => true,
            WhenSilent::Probe => self.probes.allow(self.holder(cx).map(|peer| peer.id)),
            WhenSilent::Hold => false,
        }
    }

    /// The holder's counter stands still, and EC2 takes our own writes.
    pub(in super::super) fn at_rest(&self, cx: &Context<'_>) -> bool {
        self.holder(cx).is_some_and(|peer| self.rest.at_rest(peer.id, cx.now))
    }

    fn outranked_by(&self, cx: &Context<'_>) -> Option<NodeId> {
        let outranks = |peer: &&Peer| {
            peer.heard(cx.now, cx.settings)
                && peer.report(self.id).is_some_and(|report| {
                    report.role == Role::Active
                        && report.term > self.term
                        && report.owner == Some(Owner::Mine)
                })
        };
        self.members(cx).find(outranks).map(|peer| peer.id)
    }

    fn view_of(&self, peer: &Peer, cx: &Context<'_>) -> Holder {
        let running = peer.running(cx.now);
        // A lease promises more: a goodbye may be said over what would not stop, and it may be younger than EC2's word.
        let proof = match &self.lease {
            None => peer.left || matches!(running, Some(Running::Ending | Running::No)),
            Some(lease) => running == Some(Running::No) && lease.seen_before(peer.asked_running()),
        };
        let offers = self
            .heard_offer
            .is_some_and(|offer| offer.from == peer.id && offer.stopped && cx.now <= offer.take_by);
        Holder {
            offers,
            heard: peer.heard(cx.now, cx.settings),
            active: peer.says_active(self.id),
            back_soon: peer.back_soon(cx.now),
            proof,
            silent: peer.silent(cx.now, cx.settings),
            armed: self.armed == Some(peer.id),
            lost_to_all: self.lost_to_all(peer.id, cx),
            at_rest: self.rest.at_rest(peer.id, cx.now),
        }
    }

    /// A call that takes from nobody came second.
    pub(super) fn conflicted(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        self.take.conflicted(cx.now);
        if self.take.contest.is_some_and(|contest| contest.count == CONFLICTS) {
            let text = "EC2 says that nobody holds the anchor, and that something is in its way; while both is \
                        so, it will be taken with what is there";
            self.tell(Level::Warn, "contested", text.into(), cx, out);
        }
    }

    /// Nobody was faster: every read since the last conflict says so, and each of them was sent so long after
    /// the first one that it would show who was.
    pub(super) fn contested(&self) -> bool {
        let last = self.knowledge.last.filter(|last| last.owner == Owner::Nobody);
        self.take.contest.is_some_and(|contest| {
            contest.count >= CONFLICTS
                && contest.last.since(contest.first) > SETTLE
                && last.is_some_and(|last| last.sent >= contest.last)
        })
    }

    /// With three and more nodes: a majority is heard, and nobody that is heard hears the holder.
    fn lost_to_all(&self, holder: NodeId, cx: &Context<'_>) -> bool {
        let nodes = usize::from(cx.settings.nodes);
        if nodes <= 2 {
            return true;
        }
        let mut heard = 1;
        for peer in cx.peers.iter().filter(|peer| peer.heard(cx.now, cx.settings)) {
            heard += 1;
            if peer.hears.contains(holder) {
                return false;
            }
        }
        heard * 2 > nodes
    }

    /// What holds back any call at all.
    pub(super) fn call_gate(&self, cx: &Context<'_>) -> Option<Gate> {
        let leasing = self.lease.as_ref().is_some_and(|lease| lease.write.is_some());
        if self.take.under_way.is_some() || (leasing && self.role == Role::Standby) {
            Some(Gate::UnderWay)
        } else if self.leaving {
            Some(Gate::NotEligible("the agent is stopping".into()))
        } else if cx.now < self.take.retry_at {
            Some(Gate::BackOff(self.take.retry_at))
        } else {
            None
        }
    }

    /// The GATE before a standby's take.
    pub(super) fn gate(&mut self, row: Row, since: crate::cluster::Time, cx: &Context<'_>) -> Option<Gate> {
        if let Some(gate) = self.call_gate(cx) {
            return Some(gate);
        }
        if !self.knowledge.fresh(cx.now) || !self.lease.as_ref().is_none_or(|it| it.fresh(FRESH, cx.now)) {
            return Some(Gate::NoRead);
        }
        if let Some(why) = self.ineligible(cx) {
            return Some(Gate::NotEligible(why));
        }
        if row == Row::Silent && self.take.damped(cx.now) {
            return Some(Gate::Damped);
        }
        if row == Row::Offered && self.heard_offer.is_some_and(|offer| offer.to_me) {
            return None;
        }
        let me = cx.settings.me;
        let holder = self.holder(cx).map(|peer| peer.id);
        let rivals: Vec<Rival> = self
            .settings(cx)
            .nodes
            .iter()
            .filter(|node| Some(**node) != holder)
            .map_while(|node| (*node != me).then(|| cx.peers.iter().find(|peer| peer.id == *node)))
            .flatten()
            .map(|peer| self.rival(peer, cx))
            .collect();
        let all = self.members(cx).map(|peer| self.rival(peer, cx));
        let first_over = cx.started + cx.settings.first_dead_after;
        // An active node whose lease has lapsed may have been granted a grace.
        let grace = self.lease.as_ref().map_or(Duration::ZERO, |lease| lease.settings.grace);
        let active_first = ACTIVE_FIRST.max(grace);
        let at = step(row, rivals.into_iter(), all, since, cx.settings.dead_after, first_over, active_first);
        if cx.now < at {
            return Some(Gate::Step(at));
        }
        // A heard active node goes first: whether it has done so, only a young read tells.
        let active_heard = self.members(cx).any(|peer| {
            let rival = self.rival(peer, cx);
            rival.heard && rival.active
        });
        let young = match &self.lease {
            Some(lease) => lease.fresh(SETTLE, cx.now),
            None => self.knowledge.read_within(SETTLE, cx.now),
        };
        (row == Row::Free && active_heard && !young).then_some(Gate::NoRead)
    }

    fn rival(&self, peer: &Peer, cx: &Context<'_>) -> Rival {
        Rival {
            heard: peer.heard(cx.now, cx.settings),
            ever_heard: peer.heard_at.is_some(),
            eligible: peer.report(self.id).is_some_and(|report| report.eligible),
            active: peer.says_active(self.id),
        }
    }

    /// The peer that should take the group from us now: the first eligible one, in order of preference.
    pub(in super::super) fn taker(&self, cx: &Context<'_>) -> Option<NodeId> {
        let could = |node: &&NodeId| {
            let rival = cx.peers.iter().find(|peer| peer.id == **node).map(|peer| self.rival(peer, cx));
            rival.is_some_and(|rival| rival.heard && rival.eligible)
        };
        self.settings(cx).nodes.iter().find(could).copied()
    }

    pub(super) fn watch(&self, cx: &Context<'_>) -> Watch {
        let quiet =
            self.members(cx).any(|peer| peer.late(cx.now, cx.settings) || peer.silent(cx.now, cx.settings));
        let taking = match self.gate {
            Some(
                Gate::Step(_)
                | Gate::BackOff(_)
                | Gate::UnderWay
                | Gate::NoRead
                | Gate::Unwell(_)
                | Gate::Fencing(_),
            ) => true,
            Some(Gate::NotEligible(_) | Gate::Damped | Gate::FencingFailed(_)) | None => false,
        };
        match self.role {
            _ if taking => Watch::Taking,
            _ if quiet => Watch::Quiet,
            Role::Active => Watch::Active,
            Role::Standby => Watch::Standby,
        }
    }

    /// Writes the counter (active, not all hear all), or tries a write of our own (row 17).
    pub(super) fn tend_counter(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        // A lease says by itself whether its holder lives.
        let wanted = self.row == Row::Serve && self.lease.is_none() && !self.all_hear_all(cx);
        if let Some(n) = self.writer.due(wanted, cx.now) {
            out.commands.push_back(crate::cluster::Command::WriteCounter { group: self.id, n });
        }
        if self.row == Row::CounterAtRest && self.lease.is_none() && self.rest.own_tag_due(cx.now) {
            out.commands.push_back(crate::cluster::Command::WriteOwnTag { group: self.id });
        }
    }

    fn all_hear_all(&self, cx: &Context<'_>) -> bool {
        let me = cx.settings.me;
        self.members(cx).all(|peer| {
            peer.hears_us(me, cx.now, cx.settings)
                && self.members(cx).all(|other| other.id == peer.id || peer.hears.contains(other.id))
        })
    }
}

#[cfg(test)]
mod tests;
