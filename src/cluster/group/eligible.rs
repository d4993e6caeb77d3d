//! Whether this node could take the group now; and when a holder of the lease that cannot serve stands aside.

use std::time::Duration;

use super::super::anchor::Owner;
use super::super::heartbeat::Role;
use super::super::notice::Level;
use super::super::settings::FRESH;
use super::{Context, Group, Outbox};

/// A holder of the lease may be without the anchor for so long: then another node may do better.
const WITHOUT_ANCHOR: Duration = Duration::from_secs(30);
/// For so long the others go first then.
const ASIDE: Duration = Duration::from_secs(60);

impl Group {
    /// Why this node could not take the group now; `None`: it could.
    pub(in super::super) fn ineligible(&self, cx: &Context<'_>) -> Option<String> {
        if let Err(why) = &self.able {
            Some(why.clone())
        } else if self.leaving {
            Some("the agent is stopping".into())
        } else if self.stands_aside(cx) {
            Some("it held the lease and could not serve: for a minute the others go first".into())
        } else if self.memory.standby {
            Some("an operator set this node to standby".into())
        } else if self.memory.maintenance.on {
            Some("the group is in maintenance".into())
        } else if self.barred(cx) {
            let count = self.memory.fail_count;
            Some(format!("the service has failed here {count} times, and is barred until cleanup"))
        } else if !self.fit {
            Some("the service has failed here".into())
        } else if !self.knowledge.fresh(cx.now) {
            Some("EC2 has not said within the last 30 s who holds the anchor".into())
        } else if self.lease.as_ref().is_some_and(|lease| !lease.fresh(FRESH, cx.now)) {
            Some("DynamoDB has not said within the last 30 s who holds the lease".into())
        } else {
            None
        }
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
