//! What a lease changes for a group: who may serve and until when, what the guard is told, and that the anchor
//! follows the lease.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::Owner;
use super::super::command::{Command, Desired, TakeFrom};
use super::super::decision::Row;
use super::super::event::Failure;
use super::super::heartbeat::Role;
use super::super::lease::Lease;
use super::super::node::NodeId;
use super::super::notice::Level;
use super::super::settings::SETTLE;
use super::super::snapshot::LeaseView;
use super::super::time::Time;
use super::knowledge::Watch;
use super::lease::{Leasing, Purpose, Settled};
use super::{Context, Group, Outbox};

/// An anchor that somebody moves away again and again is taken back at most this often.
const RETAKE_AT_MOST: Duration = Duration::from_secs(60);

/// Taking the anchor back for the lease.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Retakes {
    count: u32,
    next: Time,
}

impl Retakes {
    /// It was not moved away again, a call failed: the calls have a back-off of their own.
    pub(super) fn failed(&mut self) {
        *self = Self { count: self.count.saturating_sub(1), next: Time::ZERO };
    }
}

impl Group {
    /// Settled or not, and who owns the group: by the lease where there is one, else by the anchor.
    pub(in super::super) fn owner(&self, now: Time) -> (bool, Option<Owner>) {
        self.lease.as_ref().map_or_else(|| self.knowledge.anchor(now), |lease| lease.owner(now))
    }

    /// The node to ask EC2 about: the owner, and with a lease also the one whose lease has run out.
    pub(in super::super) fn holder_to_ask(&self, cx: &Context<'_>) -> Option<NodeId> {
        match self.owner(cx.now).1 {
            Some(Owner::Theirs(node)) => Some(node),
            Some(Owner::Nobody) => self.lease.as_ref().and_then(Leasing::last_owner),
            Some(Owner::Mine | Owner::Orphaned | Owner::Stranger) | None => None,
        }
    }

    /// With a lease: another node may be serving by it.
    pub(super) fn is_leased(&self, cx: &Context<'_>) -> bool {
        self.lease.as_ref().is_some_and(|it| it.last_owner().is_some() && !it.expired(cx.now))
    }

    /// Whether the lease is another's or nobody's, as far as we know; a group without one has nothing to give back.
    pub(in super::super) fn has_given_back(&self) -> bool {
        !self.lease.as_ref().is_some_and(Leasing::names_us)
    }

    /// The anchor, or the lease, is ours already. A lease has to be renewed before it counts.
    pub(super) fn become_owner(&mut self, row: Row, cx: &Context<'_>, out: &mut Outbox) {
        // Whoever heard that our service has stopped may take until the offer is over, with every call it caused. (A
        // lease is renewed against its condition: there one of the two writes fails.)
        let alone = self.settings(cx).cold && self.lease.is_none();
        if alone && self.offer.as_ref().is_some_and(|offer| offer.stopped) {
            return;
        }
        self.end_offer();
        match &mut self.lease {
            None => self.become_active(row, "EC2 says that the anchor is ours", cx, out),
            Some(lease) if lease.valid(cx.now) => {
                self.become_active(row, "the lease is ours", cx, out);
            }
            Some(lease) => lease.begin(Purpose::Renew, self.term, cx.now),
        }
    }

    /// With a lease: the right to serve is over.
    pub(super) fn lapsed(&self, cx: &Context<'_>) -> bool {
        let over = |lease: &Leasing| !lease.valid(cx.now) && !self.in_grace(lease, cx);
        self.role == Role::Active && self.lease.as_ref().is_some_and(over)
    }

    /// The lease has lapsed because DynamoDB does not answer, and every other node of the group is heard, and stands
    /// by.
    fn in_grace(&self, lease: &Leasing, cx: &Context<'_>) -> bool {
        let until = lease.serves_until().map(|until| until + lease.settings.grace);
        let stands_by = |node: &&NodeId| {
            let peer = cx.peers.iter().find(|peer| peer.id == **node);
            peer.is_some_and(|peer| {
                peer.hears_us(cx.settings.me, cx.now, cx.settings) && !peer.says_active(self.id)
            })
        };
        let others = self.settings(cx).nodes.iter().filter(|node| **node != cx.settings.me);
        lease.failures > 0
            && until.is_some_and(|until| cx.now < until)
            && others.clone().all(|it| stands_by(&it))
    }

    /// What an operator may want to know of the lease.
    pub(in super::super) fn lease_view(&self, now: Time) -> Option<LeaseView> {
        let lease = self.lease.as_ref()?;
        Some(LeaseView {
            owner: lease.seen.and_then(|seen| seen.lease).and_then(|it| it.owner),
            valid_for: lease.serves_until().filter(|until| now < *until).map(|until| until.since(now)),
            expires_in: lease.expires_at().map(|at| at.since(now)),
            age: lease.seen.map(|seen| now.since(seen.sent)),
            failures: lease.failures,
        })
    }

    /// Renews, gives back, repeats, reads.
    pub(super) fn tend_lease(&mut self, watch: Watch, cx: &Context<'_>, out: &mut Outbox) {
        let stopped = self.role == Role::Standby && self.desired == Some(Desired::Standby) && self.converged;
        let unwanted = self.leaving || !self.fit_here(cx) || self.memory.standby || self.stands_aside(cx);
        let given_up = self.offer.as_ref().is_some_and(|offer| offer.stopped);
        let (active, term) = (self.role == Role::Active, self.term);
        let eligible = self.why_not(cx).is_none();
        let maintenance = self.memory.maintenance.on;
        // An operator's wish is past the GATE.
        let forced = self.forced.is_some_and(|until| cx.now < until);
        let Some(lease) = &mut self.lease else { return };
        lease.tend(cx.now);
        if active && !given_up && lease.renewal_due(cx.now) {
            lease.begin(Purpose::Renew, term, cx.now);
        } else if stopped && unwanted && !maintenance && lease.names_us() {
            lease.begin(Purpose::GiveBack, term, cx.now);
        } else if !active && !eligible && !forced {
            lease.withdraw();
        }
        let call = out.calls + 1;
        if let Some((expect, lease)) = lease.attempt_due(call, cx.now) {
            out.calls = call;
            out.commands.push_back(Command::WriteLease { group: self.id, call, expect, lease });
        }
        let closely = matches!(watch, Watch::Quiet | Watch::Taking) || self.heard_offer.is_some();
        let call = out.calls + 1;
        if lease.read_due(closely, call, cx.now) {
            out.calls = call;
            out.commands.push_back(Command::ReadLease { group: self.id, call });
        }
    }

    /// The guard kills the service when standing down has to be finished. In maintenance it does nothing: then
    /// nothing is changed, and nothing is promised.
    pub(super) fn tend_guard(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let stopped = self.desired == Some(Desired::Standby) && self.converged;
        let (active, maintenance) = (self.role == Role::Active, self.memory.maintenance.on);
        let lapsed = self.lapsed(cx);
        let Some(lease) = &mut self.lease else { return };
        let grace = active && !lapsed && !lease.valid(cx.now);
        let until = if maintenance || stopped || (!active && self.desired.is_none()) {
            None
        } else if grace {
            // Prolonged a step at a time, for as long as the grace is seen to last.
            let soon = lease.settings.length * 3 / 5;
            let known = lease.guarded.filter(|until| until.since(cx.now) >= soon);
            known.or(Some(cx.now + lease.settings.length * 4 / 5))
        } else if active && !lapsed {
            lease.stopped_by()
        } else {
            // After maintenance what runs without a right to it has its time to stop, and no more.
            lease.guarded.or(self.guard_told.then_some(cx.now + lease.settings.stop_bound))
        };
        let first = !self.guard_told && (maintenance || stopped);
        if until != lease.guarded || first {
            self.guard_told = true;
            lease.guarded = until;
            out.commands.push_back(Command::Guard { group: self.id, until });
        }
        if grace && !std::mem::replace(&mut self.lease_in_grace, grace) {
            let text = "DynamoDB does not answer and the lease has lapsed; every other node is heard and stands by, so \
                        the grace that was configured keeps the service running";
            self.tell(Level::Alarm, "lease-grace", text.into(), cx, out);
        }
        self.lease_in_grace = grace;
    }

    /// A read of the lease was answered.
    pub(in super::super) fn lease_read(
        &mut self,
        call: u64,
        answer: Result<Option<Lease>, Failure>,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let Some(lease) = &mut self.lease else { return };
        let before = lease.failures;
        let settled = lease.read(call, answer, cx.now);
        self.lease_settled(settled, before, cx, out);
    }

    /// A write of the lease was answered, or not in time.
    pub(in super::super) fn lease_written(
        &mut self,
        call: u64,
        answer: Result<(), Failure>,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let Some(lease) = &mut self.lease else { return };
        let before = lease.failures;
        let settled = lease.written(call, answer, &mut out.random, cx.now);
        self.lease_settled(settled, before, cx, out);
    }

    fn lease_settled(
        &mut self,
        settled: Option<Settled>,
        failures_before: u32,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        self.tell_of_failures(failures_before, cx, out);
        match settled {
            Some(Settled::Landed(Purpose::Take(row))) => {
                self.accepted = None;
                let may =
                    self.why_not(cx).is_none() && self.lease.as_ref().is_some_and(|it| it.valid(cx.now));
                if self.role == Role::Standby && may {
                    self.become_active(row, "the lease is ours", cx, out);
                }
            }
            Some(Settled::Lost(Purpose::Take(_))) => {
                self.accepted = None;
                self.take.failed(Failure::Conflict, &mut out.random, cx.now);
                if self.heard_offer.is_some() {
                    // Only a renewal of the offerer's was faster: with what is read now, it works.
                    self.take.retry_at = cx.now;
                }
            }
            Some(Settled::Lost(Purpose::Renew)) if self.role == Role::Active => {
                let text = "the lease is not ours any more: somebody else has written it";
                self.tell(Level::Warn, "lease-lost", text.into(), cx, out);
            }
            Some(
                Settled::Landed(Purpose::Renew | Purpose::GiveBack)
                | Settled::Lost(Purpose::Renew | Purpose::GiveBack),
            )
            | None => {}
        }
    }

    fn tell_of_failures(&self, before: u32, cx: &Context<'_>, out: &mut Outbox) {
        let Some(lease) = &self.lease else { return };
        if before == 0 && lease.failures > 0 && self.role == Role::Active {
            let left = lease.serves_until().map_or(Duration::ZERO, |until| until.since(cx.now));
            let text = format!(
                "DynamoDB did not renew the lease; without an answer this node stands down in {:.1} s",
                left.as_secs_f64()
            );
            self.tell(Level::Warn, "lease-unanswered", text, cx, out);
        } else if before < 3 && lease.failures >= 3 && self.role == Role::Standby {
            let text = "DynamoDB does not say who holds the lease; this node cannot take over".to_owned();
            self.tell(Level::Warn, "lease-unanswered", text, cx, out);
        } else if before > 0 && lease.failures == 0 {
            self.tell(Level::Info, "lease-answered", "DynamoDB answers again".into(), cx, out);
        }
    }

    /// With a lease the anchor is a resource: whoever holds the lease takes it, and takes it back.
    pub(super) fn tend_anchor(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let serves = matches!(self.desired, Some(Desired::Serve { repair: true }));
        if self.lease.is_none() || self.role != Role::Active || !serves || self.memory.maintenance.on {
            return;
        }
        let (settled, owner) = self.knowledge.anchor(cx.now);
        let first = self.retakes.count == 0;
        if owner == Some(Owner::Mine) && settled {
            if cx.now.since(self.retakes.next) > RETAKE_AT_MOST * 5 {
                self.retakes.count = self.retakes.count.min(1);
            }
            return;
        }
        // At once on becoming active, if EC2 has said anything lately; later only by what it says.
        let known = (first && self.knowledge.fresh(cx.now)) || (settled && owner.is_some());
        if !known || cx.now < self.retakes.next || self.call_gate(cx).is_some() {
            return;
        }
        let last = self.knowledge.last.map(|last| last.owner);
        let from = if last == Some(Owner::Nobody) && !self.contested() {
            TakeFrom::Nobody
        } else {
            TakeFrom::Anyone
        };
        let wait = (SETTLE * (1 << self.retakes.count.min(4))).min(RETAKE_AT_MOST);
        self.retakes = Retakes { count: self.retakes.count.saturating_add(1), next: cx.now + wait };
        let call = out.call();
        self.take.sent(call, self.row, from, cx.now);
        out.commands.push_back(Command::TakeAnchor { group: self.id, call, from });
        if self.retakes.count == 4 {
            let text = "somebody moves the anchor away again and again; with a lease it belongs to the lease's holder: \
                        find out who (another cluster with the same anchor, a script, terraform)";
            self.tell(Level::Alarm, "anchor-moved-away", text.into(), cx, out);
        }
    }

    /// When time alone changes something about the lease, the guard or the anchor.
    pub(super) fn holding_deadline(&self, watch: Watch, cx: &Context<'_>) -> Option<Time> {
        let lease = self.lease.as_ref()?;
        let closely = matches!(watch, Watch::Quiet | Watch::Taking) || self.heard_offer.is_some();
        let grace = lease.serves_until().map(|until| until + lease.settings.grace);
        let retake = (self.role == Role::Active).then_some(self.retakes.next);
        [lease.deadline(closely, cx.now), grace, retake].into_iter().flatten().filter(|at| *at > cx.now).min()
    }
}

#[cfg(test)]
mod tests;
