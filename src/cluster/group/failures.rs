//! The service's failures on this node: fail count, migration threshold, failure timeout, as in Pacemaker.

use super::super::event::ServiceFailure;
use super::super::notice::Level;
use super::super::time::Time;
use super::{Context, Group, Outbox};

impl Group {
    /// The service has failed so often that it is barred from this node.
    pub(in super::super) fn barred(&self, cx: &Context<'_>) -> bool {
        let threshold = self.settings(cx).migration_threshold;
        threshold > 0 && self.memory.fail_count >= threshold
    }

    /// The service has failed. What a stall of our own or maintenance explains does not count.
    pub(in super::super) fn service_failed(
        &mut self,
        how: ServiceFailure,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let stalled = cx.just_stalled();
        if self.memory.maintenance.on || stalled {
            let why = if stalled { "this agent has just not run for a while" } else { "maintenance is on" };
            let text = format!("the service has failed; that does not count, because {why}");
            return self.tell(Level::Info, "failure-ignored", text, cx, out);
        }
        let threshold = self.settings(cx).migration_threshold;
        self.memory.fail_count = match how {
            ServiceFailure::Running => self.memory.fail_count.saturating_add(1),
            ServiceFailure::Start => self.memory.fail_count.saturating_add(1).max(threshold),
        };
        self.memory.failed_at = Some(cx.now);
        self.store(out);
        out.urgent = true;
        let what = match how {
            ServiceFailure::Running => "the service has failed",
            ServiceFailure::Start => "the service did not start",
        };
        let barred = if self.barred(cx) { ": it is barred from this node until cleanup" } else { "" };
        let text = format!(
            "{what}, fail count {} of migration threshold {threshold}{barred}",
            self.memory.fail_count
        );
        self.tell(Level::Warn, "service-failed", text, cx, out);
    }

    /// Forgets failures that are older than the failure timeout.
    pub(super) fn tend_failures(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.failures_over(cx).is_some_and(|at| cx.now >= at) {
            self.forget_failures("failure-timeout is over", cx, out);
        }
    }

    /// When they are forgotten.
    pub(super) fn failures_over(&self, cx: &Context<'_>) -> Option<Time> {
        let timeout = self.settings(cx).failure_timeout?;
        Some(self.memory.failed_at? + timeout)
    }

    pub(in super::super) fn forget_failures(&mut self, why: &str, cx: &Context<'_>, out: &mut Outbox) {
        if self.memory.fail_count == 0 {
            return;
        }
        self.memory.fail_count = 0;
        self.memory.failed_at = None;
        self.store(out);
        out.urgent = true;
        self.tell(Level::Info, "failures-forgotten", format!("the fail count is zero again: {why}"), cx, out);
    }
}
