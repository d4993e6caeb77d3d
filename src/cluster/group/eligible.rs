//! Whether this node could take the group now; and when a holder of the lease that cannot serve stands aside.

use std::time::Duration;

use super::super::anchor::Owner;
use super::super::heartbeat::{Role, WhyNot};
use super::super::notice::Level;
use super::super::settings::FRESH;
use super::{Context, Group, Outbox};

/// A holder of the lease may be without the anchor for so long: then another node may do better.
const WITHOUT_ANCHOR: Duration = Duration::from_secs(30);
/// For so long the others go first then.
const ASIDE: Duration = Duration::from_secs(60);

impl Group {
    /// Why this node could not take the group now; `None`: it could.
    pub(in super::super) fn why_not(&self, cx: &Context<'_>) -> Option<WhyNot> {
        let lease_known = self.lease.as_ref().is_none_or(|lease| lease.fresh(FRESH, cx.now));
        let reasons = [
            (self.able.is_err(), WhyNot::Lacks),
            (self.leaving, WhyNot::Leaving),
            (self.stands_aside(cx), WhyNot::StandsAside),
            (self.memory.standby, WhyNot::Standby),
            (self.memory.maintenance.on, WhyNot::Maintenance),
            (self.barred(cx), WhyNot::Barred),
            (!self.fit, WhyNot::Unfit),
            (!self.knowledge.fresh(cx.now), WhyNot::AnchorUnknown),
            (!lease_known, WhyNot::LeaseUnknown),
        ];
        reasons.into_iter().find_map(|(holds, why)| holds.then_some(why))
    }

    /// The same, as this node says it of itself.
    pub(in super::super) fn ineligible(&self, cx: &Context<'_>) -> Option<String> {
        let why = self.why_not(cx)?;
        Some(match (why, &self.able) {
            (WhyNot::Lacks, Err(lacks)) => lacks.clone(),
            (WhyNot::Barred, _) => {
                let count = self.memory.fail_count;
                format!("the service has failed here {count} times, and is barred until cleanup")
            }
            (WhyNot::Leaving, _) => "the agent is stopping".into(),
            (WhyNot::Standby, _) => "an operator set this node to standby".into(),
            (WhyNot::Unfit, _) => "a check has failed here".into(),
            (WhyNot::AnchorUnknown, _) => "EC2 has not said within the last 30 s who holds the anchor".into(),
            (WhyNot::LeaseUnknown, _) => {
                "DynamoDB has not said within the last 30 s who holds the lease".into()
            }
            (WhyNot::Lacks | WhyNot::StandsAside | WhyNot::Maintenance, _) => why.words().into(),
        })
    }

    /// The service is fit here, and not barred.
    pub(super) fn fit_here(&self, cx: &Context<'_>) -> bool {
        self.fit && !self.barred(cx)
    }

    /// It has given the lease back because it could not serve, and the others go first.
    pub(super) fn stands_aside(&self, cx: &Context<'_>) -> bool {
        self.aside_until.is_some_and(|until| cx.now < until)
    }

    /// With a lease: who holds it and cannot take the anchor, or is barred and not heard by the node that could take
    /// over, keeps the group from everybody else for as long as it renews. So it gives the lease back. (Without a
    /// lease EC2 decides that by itself: who does not hold the anchor is not the owner.)
    pub(super) fn tend_aside(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let anchor = self.knowledge.anchor(cx.now).1;
        // Somebody who moves it away is another matter: there the calls work.
        let fails = self.take.failures > 0 && anchor != Some(Owner::Mine);
        // What EC2 does not tell us it tells the peers.
        let elsewhere = |owner: Owner| owner != Owner::Theirs(cx.settings.me);
        let told = anchor.is_none()
            && self
                .members(cx)
                .filter(|peer| peer.heard(cx.now, cx.settings))
                .any(|peer| peer.report(self.id).and_then(|report| report.owner).is_some_and(elsewhere));
        self.without_anchor = if fails || told { self.without_anchor.or(Some(cx.now)) } else { None };
        if self.lease.is_none() || self.role == Role::Standby || self.memory.maintenance.on {
            return;
        }
        let could = self.members(cx).any(|peer| {
            let report = peer.report(self.id).filter(|_| peer.heard(cx.now, cx.settings));
            report.is_none_or(|report| report.eligible)
        });
        let without = self.without_anchor.is_some_and(|since| cx.now.since(since) >= WITHOUT_ANCHOR);
        if !(could && without) {
            return;
        }
        self.stand_aside("the lease is given back: this node could not take the anchor for 30 s", cx, out);
    }

    /// Gives the lease back, for a node that does better.
    pub(super) fn stand_aside(&mut self, why: &str, cx: &Context<'_>, out: &mut Outbox) {
        self.tell(Level::Warn, "stands-aside", why.into(), cx, out);
        self.become_standby(self.row, why, cx, out);
        self.aside_until = Some(cx.now + ASIDE);
    }
}
