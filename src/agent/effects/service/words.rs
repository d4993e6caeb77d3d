//! What is said of a service that does not do what it should.

use std::time::Duration;

use crate::agent::shell::World;
use crate::cluster::Time;
use crate::cluster::snapshot::GroupView;

/// What ails a service, for `status`.
#[derive(Clone, Debug)]
pub(in crate::agent) struct Ailing {
    /// What is the matter.
    pub(super) what: String,
    /// Since when.
    pub(super) at: Time,
    /// What is done about it.
    pub(super) doing: String,
}

impl Ailing {
    /// As one sentence: what, since when, what is done, and how near it is to being barred.
    pub(in crate::agent) fn text(&self, view: &GroupView, threshold: u32, now: Time) -> String {
        let ago = Duration::from_secs(now.since(self.at).as_secs());
        let count = match (view.fail_count, view.barred) {
            (0, _) => String::new(),
            (count, true) => format!(", barred from this node (fail count {count})"),
            (count, false) if threshold == 0 => format!(", fail count {count}"),
            (count, false) => format!(", {count} of {threshold} before it is barred"),
        };
        format!("{} {} ago; {}{count}", self.what, humantime::format_duration(ago), self.doing)
    }
}

impl World {
    /// Says what ails the service; the same again began when it began.
    pub(super) fn ails(&self, what: &str, doing: &str, now: Time) {
        let mut seen = self.seen();
        let at = seen.ailing.as_ref().filter(|it| it.what == what).map_or(now, |it| it.at);
        seen.ailing = Some(Ailing { what: what.to_owned(), at, doing: doing.to_owned() });
    }

    /// Says what is done now about what ails it.
    pub(super) fn does(&self, doing: &str) {
        if let Some(ailing) = &mut self.seen().ailing {
            doing.clone_into(&mut ailing.doing);
        }
    }

    /// Nothing ails it.
    pub(super) fn is_well(&self) {
        self.seen().ailing = None;
    }
}
